/**
 * API keys: who may post, and to which streams.
 *
 * The environment holds only SHA-256 digests. A presented key is hashed and compared with every digest in
 * constant time, so neither the time nor the configuration tells a key.
 */
import { hash, timingSafeEqual } from "node:crypto";

export interface ApiKey {
  name: string;
  sha256: Buffer;
  /** The streams it may use; undefined: all. */
  streams: ReadonlySet<string> | undefined;
}

/** Parses `name:sha256-hex[:stream|stream]`, comma-separated; says every problem instead of throwing. */
export function parseApiKeys(text: string): { keys: ApiKey[]; problems: string[] } {
  const keys: ApiKey[] = [];
  const problems: string[] = [];
  const entries = text
    .split(",")
    .map((entry) => entry.trim())
    .filter((entry) => entry !== "");
  for (const [index, entry] of entries.entries()) {
    const [name, hex, streams, ...rest] = entry.split(":");
    const place = `entry ${index + 1}`; // never the entry itself: somebody may have put a raw key there
    if (name === undefined || !/^[\w.-]{1,64}$/.test(name))
      problems.push(`${place}: expected a name of letters, digits, "_", "-" and "."`);
    else if (hex === undefined || !/^[0-9a-fA-F]{64}$/.test(hex))
      problems.push(`${place}: expected 64 hex digits (the SHA-256 of the key) after "${name}:"`);
    else if (rest.length > 0) problems.push(`${place}: expected at most name:sha256:streams`);
    else if (keys.some((key) => key.name === name)) problems.push(`${place}: the name "${name}" is taken`);
    else {
      const allowed = streams?.split("|").filter((stream) => stream !== "");
      keys.push({
        name,
        sha256: Buffer.from(hex, "hex"),
        streams: allowed && allowed.length > 0 ? new Set(allowed) : undefined,
      });
    }
  }
  return { keys, problems };
}

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
