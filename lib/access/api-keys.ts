/** API keys: to which streams one may post. keyring.ts finds whose a key is. */
import type { ApiKey } from "../config.ts";
import { isInternal } from "../schema/registry.ts";

/**
 * Whether the key may use the stream. A public key has a list of its own, or it may use none. A stream of Spillway's own is for keys that
 * name it.
 */
export const mayUse = (key: ApiKey, stream: string): boolean =>
  key.streams?.has(stream) ?? (key.kind === "secret" && !isInternal(stream));
