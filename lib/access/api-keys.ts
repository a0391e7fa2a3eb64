/**
 * API keys: who may post, and to which streams.
 *
 * The environment holds only SHA-256 digests. A presented key is hashed and compared with every digest in
 * constant time, so neither the time nor the configuration tells a key.
 */
import { hash, timingSafeEqual } from "node:crypto";
import type { ApiKey } from "../config.ts";

/** Finds whose key was presented in an `Authorization: Bearer KEY` header; undefined: nobody's. */
export function authenticate(keys: readonly ApiKey[], authorization: string | undefined): ApiKey | undefined {
  const presented = /^Bearer +(\S+) *$/i.exec(authorization ?? "")?.[1];
  if (presented === undefined) return undefined;
  const digest = hash("sha256", presented, "buffer");
  let found: ApiKey | undefined;
  for (const key of keys) if (timingSafeEqual(digest, key.sha256)) found = key;
  return found;
}

/** Whether the key may use the stream. */
export const mayUse = (key: ApiKey, stream: string): boolean => key.streams?.has(stream) ?? true;
