/**
 * How the text of a key looks: `spw_` (secret) or `spw_pub_` (public), 30 random letters and digits, and a checksum of 6 (the CRC-32
 * of everything before it, in base 62). The prefix lets secret scanners find a key that leaked (SECURITY.md has the regular expression). The
 * checksum tells a key that was mistyped or cut off from one that is unknown, without looking it up. It proves nothing: anybody can make one.
 */
import { randomInt } from "node:crypto";
import { crc32 } from "node:zlib";

/** A secret key may do all that its record allows. A public key is known to everybody who opens a page. */
export type KeyKind = "secret" | "public";

const PREFIXES: Record<KeyKind, string> = { secret: "spw_", public: "spw_pub_" };
const DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/** 30 of 62 characters: 178 bits. */
const RANDOM_LENGTH = 30;
/** 62^6 is the least power that holds 2^32 values. */
const CHECKSUM_LENGTH = 6;
const SHAPE = new RegExp(`^spw_(?:pub_)?[0-9A-Za-z]{${RANDOM_LENGTH + CHECKSUM_LENGTH}}$`);

/** Makes a new key, from the random numbers of `node:crypto`. */
export function newKey(kind: KeyKind): string {
  let text = PREFIXES[kind];
  for (let i = 0; i < RANDOM_LENGTH; i += 1) text += DIGITS[randomInt(DIGITS.length)];
  return text + checksumOf(text);
}

/** The kind that a text's prefix claims; undefined: it has not our prefix, so no checksum is expected. */
export function claimedKind(text: string): KeyKind | undefined {
  if (text.startsWith(PREFIXES.public)) return "public";
  return text.startsWith(PREFIXES.secret) ? "secret" : undefined;
}

/** Whether a text has the prefix, the length and the checksum of a key that `newKey` made. */
export function isWellFormed(text: string): boolean {
  return SHAPE.test(text) && checksumOf(text.slice(0, -CHECKSUM_LENGTH)) === text.slice(-CHECKSUM_LENGTH);
}

function checksumOf(text: string): string {
  let rest = crc32(text);
  let digits = "";
  for (let i = 0; i < CHECKSUM_LENGTH; i += 1) {
    digits = DIGITS[rest % DIGITS.length] + digits;
    rest = Math.floor(rest / DIGITS.length);
  }
  return digits;
}
