/** Finds the API key of a request, or answers 401. */
import type { IncomingMessage } from "node:http";
import { authenticate } from "../lib/access/api-keys.ts";
import { claimedKind, isWellFormed } from "../lib/access/key-format.ts";
import { type KeyRefusal, presentedKey } from "../lib/access/present-key.ts";
import type { ApiKey } from "../lib/config.ts";
import { Problem } from "./answer.ts";

const MISTYPED: KeyRefusal = {
  code: "unknown-key",
  detail: "the key is mistyped or cut off: its checksum does not fit",
};
const UNKNOWN: KeyRefusal = { code: "unknown-key", detail: "the key is not known here" };
const NOT_SECRET: KeyRefusal = {
  code: "unknown-key",
  detail:
    "the key is public by its prefix, and the record of it is that of a secret one: make public keys with `spillway keys create --public`",
};

/**
 * Finds the API key that a request presents. Throws a 401 without one. A digest in the environment is asked first, because such a
 * key may be any text, also one with our prefix and without a checksum.
 */
export function keyOf(apiKeys: readonly ApiKey[], req: IncomingMessage, query: URLSearchParams): ApiKey {
  const presented = presentedKey(req.rawHeaders, query);
  if (typeof presented === "object") throw unauthorized(presented);
  const key = authenticate(apiKeys, presented);
  const claimed = claimedKind(presented);
  if (key === undefined)
    throw unauthorized(claimed === undefined || isWellFormed(presented) ? UNKNOWN : MISTYPED);
  // Everybody may have it, so the rights of a secret key are not its own.
  if (claimed === "public" && key.kind === "secret") throw unauthorized(NOT_SECRET);
  return key;
}

const SCHEMES = 'Bearer realm="spillway", Basic realm="spillway", charset="UTF-8"';

const unauthorized = ({ code, detail }: KeyRefusal): Problem =>
  new Problem(code, detail, {}, { "www-authenticate": SCHEMES });
