/**
 * Who may ask the console's server. It has the operator's rights, so a page of another site must not use it through the operator's browser: the
 * Host must be this server's (a name that was made to point to 127.0.0.1 is another one), an Origin, if there is one, must be this page's,
 * and each request but those for the page itself must show the token of this start.
 */
import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { CONSOLE_TOKEN_HEADER } from "../../lib/contract/console.ts";

/** Why a request is refused. */
export interface Denied {
  status: 401 | 403;
  title: string;
  detail: string;
}

export class Guard {
  /** The token of this start. */
  readonly token = randomBytes(32).toString("base64url");
  readonly #digest = digestOf(this.token);
  readonly #hosts: readonly string[];

  constructor(port: number) {
    this.#hosts = [`127.0.0.1:${port}`, `localhost:${port}`];
  }

  /** Whether the request came to this server by its own name, and from no page but its own; undefined: it did. */
  denyPlace({ headers }: IncomingMessage): Denied | undefined {
    if (!this.#hosts.includes(headers.host ?? ""))
      return denied(403, "The Host is not the console's", `expected ${this.#hosts.join(" or ")}`);
    const { origin, "sec-fetch-site": site } = headers;
    const isOwn = origin === undefined || origin === `http://${headers.host}`;
    if (isOwn && (site === undefined || site === "same-origin" || site === "none")) return undefined;
    return denied(403, "The request comes from another page", "expected this console's own page");
  }

  /** Whether the request shows the token; undefined: it does. The comparison takes the same time for each token. */
  denyToken({ headers }: IncomingMessage): Denied | undefined {
    const shown = headers[CONSOLE_TOKEN_HEADER];
    if (typeof shown === "string" && timingSafeEqual(digestOf(shown), this.#digest)) return undefined;
    return denied(
      401,
      "The token of this console is missing, or is of an earlier start",
      "This page has no token of this console, or one of an earlier start: start the console again if it does not run (npm start, or npx spillway console), and use the address that it prints.",
    );
  }
}

const digestOf = (text: string): Buffer => createHash("sha256").update(text).digest();
const denied = (status: Denied["status"], title: string, detail: string): Denied => ({
  status,
  title,
  detail,
});
