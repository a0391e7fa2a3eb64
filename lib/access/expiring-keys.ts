/** Tells of keys that expire soon: to their senders by a header, and in the log. */
import { EXPIRY_TOLD_DAYS } from "../contract/limits.ts";
import type { Log } from "../log.ts";
import type { FoundKey } from "./keyring.ts";

/** From how long before its end a key is told of, in milliseconds: 14 days. */
const SOON_MS = EXPIRY_TOLD_DAYS * 86_400_000;
/** How often a key is said in the log at most, in milliseconds. */
const SAY_EVERY_MS = 3_600_000;

interface Deps {
  /** The wall clock. */
  now: () => number;
  log: Log;
}

export class ExpiringKeys {
  readonly #deps: Deps;
  readonly #saidAtMs = new Map<string, number>();

  constructor(deps: Deps) {
    this.#deps = deps;
  }

  isExpired({ expiresAtMs }: FoundKey): boolean {
    return this.#deps.now() >= expiresAtMs;
  }

  /** Whether the key expires within 14 days. Says so in the log, once an hour a key at most. */
  expiresSoon({ key, expiresAtMs }: FoundKey): boolean {
    const nowMs = this.#deps.now();
    if (expiresAtMs - nowMs > SOON_MS) return false;
    const digest = key.sha256.toString("hex");
    if (Math.abs(nowMs - (this.#saidAtMs.get(digest) ?? Number.NEGATIVE_INFINITY)) >= SAY_EVERY_MS) {
      this.#saidAtMs.set(digest, nowMs);
      this.#deps.log.warn("key.expiring", { key: key.name, expiresAt: key.expiresAt });
    }
    return true;
  }
}
