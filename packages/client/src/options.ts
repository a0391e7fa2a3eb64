/** What a client is told when it is made, and the times that no option changes. */
import type { Held, Outcome } from "./outcome.ts";
import type { Store } from "./store.ts";
import type { Random } from "./uuid-v7.ts";

export interface ClientOptions {
  /** Where ingest is, as `https://ingest.example.com`. */
  url: string;
  /** The API key; or a function that returns it, which is asked again after a 401. In a browser it is a public key (`spw_pub_…`). */
  key: Key;
  /** Where events wait. @default the memory of this client */
  store?: Store;
  /** When a batch is full, or old enough to be sent. @default { events: 100, bytes: 60_000, ms: 1000 } */
  batch?: Partial<BatchLimits>;
  /** How much waits, and for how long, before the oldest go. @default { bytes: 5_000_000, ms: 604_800_000 } (7 days) */
  keep?: Partial<KeepLimits>;
  /** Keeps a serverless function alive until what it sent is settled: the platform's own `waitUntil`. */
  waitUntil?: (work: Promise<unknown>) => void;
  /** Hears each event's end, also of those that an earlier run sent. */
  onOutcome?: (outcome: Outcome) => void;
  /** Hears why events wait if the key or a setting is wrong. @default console.warn */
  onHeld?: (held: Held) => void;
  /** Fills an array with random bytes, where the platform has no crypto.getRandomValues. */
  random?: Random;
  fetch?: typeof fetch;
}

export type Key = string | (() => string | Promise<string>);

export interface BatchLimits {
  events: number;
  bytes: number;
  ms: number;
}

export interface KeepLimits {
  bytes: number;
  ms: number;
}

/** In milliseconds. */
export interface Pace {
  backOffBaseMs: number;
  backOffMaxMs: number;
  /** How long a request may take: ingest answers within 45 s. */
  requestMs: number;
  /** The pause after a refusal that is the key's fault, or a setting's. */
  heldMs: number;
  /** How often a queue's owner says that it lives, and looks at other queues. */
  beatMs: number;
  /** How long a queue's beat stays unchanged, while it is watched, until its owner counts as gone. */
  watchMs: number;
}

export const BATCH: BatchLimits = { events: 100, bytes: 60_000, ms: 1000 };
export const KEEP: KeepLimits = { bytes: 5_000_000, ms: 7 * 86_400_000 };
export const PACE: Pace = {
  backOffBaseMs: 1000,
  backOffMaxMs: 60_000,
  requestMs: 50_000,
  heldMs: 300_000,
  beatMs: 15_000,
  watchMs: 60_000,
};
