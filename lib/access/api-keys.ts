/**
 * API keys: who may post, and to which streams.
 *
 * The environment holds only SHA-256 digests, so the configuration does not reveal a key. A presented key is hashed and
 * compared with every digest in constant time, so the time of an answer does not reveal a key either.
 */
import { hash, timingSafeEqual } from "node:crypto";
import type { ApiKey } from "../config.ts";

/** Finds the API key of a presented text; undefined: it is unknown. */
export function authenticate(keys: readonly ApiKey[], presented: string): ApiKey | undefined {
  const digest = hash("sha256", presented, "buffer");
  let found: ApiKey | undefined;
  for (const key of keys) if (timingSafeEqual(digest, key.sha256)) found = key;
  return found;
}

/** Whether the key may use the stream. A public key has a list of its own, or it may use none. */
export const mayUse = (key: ApiKey, stream: string): boolean =>
  key.streams?.has(stream) ?? key.kind === "secret";
