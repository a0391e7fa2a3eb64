/**
 * Who calls a private service of Cloud Run, by the identity token that Cloud Run has verified. It hands the token on without its
 * signature (cloud.google.com/run/docs/troubleshooting, "Signature removed"), so its payload is read and not verified: that is right
 * behind Cloud Run, and nowhere else.
 *
 * Cloud Run verifies `X-Serverless-Authorization` if it is there, and does not look at `Authorization` then. A caller could add the
 * other one with a payload of its own. So every token of either header is judged, and the least of them decides.
 */
import type { IncomingMessage } from "node:http";

const HEADERS = ["authorization", "x-serverless-authorization"];

/**
 * Whether the caller may do more than drain: each token that the request shows names an e-mail that Google has verified, and none
 * of these is of `drainCallers` (in lower case). False if there is no token, or one can't be read.
 */
export function mayOperate(
  { headersDistinct }: Pick<IncomingMessage, "headersDistinct">,
  drainCallers: ReadonlySet<string>,
): boolean {
  const emails = emailsOf(headersDistinct);
  return emails.length > 0 && emails.every((email) => email !== undefined && !drainCallers.has(email));
}

/** The caller's verified e-mail, in lower case; undefined if the request shows none, or tokens of several people. */
export function callerOf({ headersDistinct }: Pick<IncomingMessage, "headersDistinct">): string | undefined {
  const [email, ...others] = new Set(emailsOf(headersDistinct));
  return others.length === 0 ? email : undefined;
}

const emailsOf = (headers: IncomingMessage["headersDistinct"]): (string | undefined)[] =>
  HEADERS.flatMap((name) => headers[name] ?? []).map(emailOf);

/** The verified e-mail in `Bearer HEADER.PAYLOAD.SIGNATURE`, in lower case; undefined: it can't be read. */
function emailOf(header: string): string | undefined {
  const [, payload] = /^Bearer +[\w-]+\.([\w-]+)\.[\w-]*$/i.exec(header) ?? [];
  if (payload === undefined) return undefined;
  try {
    const claims = JSON.parse(Buffer.from(payload, "base64url").toString()) as Record<string, unknown> | null;
    const email = claims?.email_verified === true ? claims.email : undefined;
    return typeof email === "string" && email !== "" ? email.toLowerCase() : undefined;
  } catch {
    return undefined;
  }
}
