/**
 * CORS: lets web pages send requests and read answers (fetch.spec.whatwg.org, "CORS protocol").
 *
 * Ingest knows no cookies: a page that has no key can do nothing, and one that has a key could do the same without a browser. So every
 * preflight is answered, because it cannot say which key will follow, and every page may read a refusal, because a
 * page that can't read it knows no cure. Other answers are for the origins of CORS_ORIGINS, and for those of a public key.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { ApiKey } from "../lib/config.ts";
import { Problem } from "./answer.ts";
import { headersWithId } from "./request-id.ts";

/** The headers of an answer that a page may read, beside those that it may read always. */
const EXPOSED = "Date, Retry-After, RateLimit, RateLimit-Policy, X-Request-Id, X-Key-Expires";
/** The headers that a page may send if it does not ask for others. */
const ALLOWED = "Authorization, Content-Type, Content-Encoding, Idempotency-Key";
/** A list of header names (RFC 9110, field-name), of a sensible length. */
const HEADER_NAMES = /^[\w!#$%&'*+.^`|~-]+(?:[ \t]*,[ \t]*[\w!#$%&'*+.^`|~-]+)*$/;
const HEADER_NAMES_MAX = 2048;
/** An origin as browsers send it. Only such a one is repeated. */
const ORIGIN = /^(?:null|[a-z][a-z0-9+.-]*:\/\/[a-z0-9.:[\]_-]{1,255})$/;

const ALLOW_ORIGIN = "access-control-allow-origin";
/** Lets every page read an answer to a request of which nothing is known. */
export const FOR_EVERY_PAGE = { [ALLOW_ORIGIN]: "*" };

export class Cors {
  readonly #origins: readonly string[];
  readonly #isOpen: boolean;

  /** `origins`: those of CORS_ORIGINS, or `*` alone. */
  constructor(origins: readonly string[]) {
    this.#origins = origins;
    this.#isOpen = origins.includes("*");
  }

  /** Sets the headers that an answer to a page has, whatever its key is. */
  begin(req: IncomingMessage, res: ServerResponse): void {
    const { origin } = req.headers;
    if (origin === undefined) return;
    const isAhead = req.method === "OPTIONS";
    res.setHeader("vary", isAhead ? "Origin, Access-Control-Request-Headers" : "Origin");
    res.setHeader("access-control-expose-headers", EXPOSED);
    if (isAhead || this.#lists(origin)) this.allow(req, res);
    if (!isAhead) return;
    res.setHeader("access-control-allow-methods", "GET, HEAD, POST, OPTIONS");
    res.setHeader("access-control-allow-headers", headersAskedFor(req));
    res.setHeader("access-control-max-age", "86400");
  }

  /** Lets the page that sent a request read the answer. */
  allow({ headers: { origin } }: IncomingMessage, res: ServerResponse): void {
    if (origin === undefined) return;
    res.setHeader(ALLOW_ORIGIN, this.#isOpen || !ORIGIN.test(origin) ? "*" : origin);
  }

  /**
   * Lets the page read the answer if the key allows its origin, and otherwise throws a 403. A public key was asked for its own origins
   * before. A secret key goes by CORS_ORIGINS. There only what a browser marks as another site's page is refused: programs
   * and pages of the same origin may send an Origin, too.
   */
  allowWith(key: ApiKey, req: IncomingMessage, res: ServerResponse): void {
    const { origin, "sec-fetch-site": site } = req.headers;
    if (origin === undefined || this.#lists(origin)) return;
    if (key.kind === "public") this.allow(req, res);
    else if (site === "cross-site" || site === "same-site")
      throw new Problem(
        "origin-not-allowed",
        "pages of this origin may not use a secret key: add the origin to CORS_ORIGINS, or use a public key",
      );
  }

  #lists(origin: string): boolean {
    return this.#isOpen || this.#origins.includes(origin);
  }
}

/** Whether a browser asks with this request if a page may send another one. */
export const isPreflight = ({ method, headers }: IncomingMessage): boolean =>
  method === "OPTIONS" &&
  headers.origin !== undefined &&
  headers["access-control-request-method"] !== undefined &&
  headers["webhook-request-origin"] === undefined;

/** Answers an OPTIONS that is allowed. */
export function answerOptions(res: ServerResponse): void {
  res.writeHead(204, headersWithId(res, {})).end();
}

/**
 * The headers that a preflight asks for: tracing and CloudEvents add their own (`traceparent`, `ce-*`), and no header harms. They
 * are named, because `*` does not stand for Authorization.
 */
function headersAskedFor(req: IncomingMessage): string {
  const asked = req.headers["access-control-request-headers"];
  return asked !== undefined && asked.length <= HEADER_NAMES_MAX && HEADER_NAMES.test(asked)
    ? asked
    : ALLOWED;
}
