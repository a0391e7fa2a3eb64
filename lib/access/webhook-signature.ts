/** What the ways to sign have in common: an HMAC of the body's bytes, a comparison that tells nothing, and a tolerance of time. */
import { createHmac, timingSafeEqual } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http";

/** A signature that holds. */
export interface Verified {
  /** The id that the sender has signed outside of the body; undefined: it signs none there. */
  signedId: string | undefined;
}

/** Checks one delivery against one secret; undefined: no signature of it holds. Neither parses the body nor throws. */
export type Verify = (headers: IncomingHttpHeaders, rawBody: Buffer, nowMs: number) => Verified | undefined;

/** How far a signed time may be from ours, before and after, in seconds. */
const TOLERANCE_SECONDS = 300;

/** A signature that holds, from a sender that signs no id outside of the body. */
export const HOLDS: Verified = { signedId: undefined };

/** Makes the HMAC-SHA256 of bytes, and of a text that stands before them. */
export const hmacOf = (
  key: string | Buffer,
  before: string,
  rawBody: Buffer,
  encoding: "hex" | "base64",
): string => createHmac("sha256", key).update(before).update(rawBody).digest(encoding);

/** Whether two texts are the same, in a time that tells only whether they are equally long. */
export function isSameText(a: string, b: string): boolean {
  const [one, other] = [Buffer.from(a), Buffer.from(b)];
  return one.length === other.length && timingSafeEqual(one, other);
}

/** Reads a signed time in seconds, of digits only; undefined: it is none, or too far from now. */
export function timelySeconds(text: string | undefined, nowMs: number): number | undefined {
  if (text === undefined || !/^\d{1,12}$/.test(text)) return undefined;
  const seconds = Number(text);
  return Math.abs(nowMs / 1000 - seconds) <= TOLERANCE_SECONDS ? seconds : undefined;
}

/** Returns a header that came once. Node joins what came twice, with a comma and a space between. */
export function headerOf(headers: IncomingHttpHeaders, name: string): string | undefined {
  const value = headers[name];
  return typeof value === "string" ? value : undefined;
}
