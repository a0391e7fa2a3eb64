/**
 * The counts of webhooks in Redis, of all instances together: for each source, how many signatures held and how many failed, and when
 * the last did. They are for people. A killed instance takes with it what it had not added yet.
 */
import type { Redis } from "@upstash/redis";
import { readScript } from "./lua-scripts.ts";
import { WEBHOOKS_KEY } from "./redis-keys.ts";

/** A source of a stream. */
export interface CountedSource {
  stream: string;
  source: string;
}

export interface WebhookCount {
  /** Deliveries whose signature held. */
  good: number;
  /** When the last of them came, in milliseconds since 1970; 0: none did. */
  goodAtMs: number;
  /** Deliveries whose signature did not hold. */
  failed: number;
  failedAtMs: number;
}

export type WebhookCounts = ReturnType<typeof createWebhookCounts>;

const NOTHING: WebhookCount = { good: 0, goodAtMs: 0, failed: 0, failedAtMs: 0 };

const fieldOf = ({ stream, source }: CountedSource): string => `${stream}/${source}`;

/** Makes the moves of the counts. Errors of the client pass through. */
export function createWebhookCounts(redis: Pick<Redis, "createScript" | "hmget">) {
  const script = redis.createScript<number>(readScript("count-webhooks"));

  /** Adds to the counts of some sources, each at most once. May not be repeated: it would count twice. */
  async function add(counts: readonly (CountedSource & WebhookCount)[]): Promise<void> {
    const args = counts.flatMap((one) => [
      fieldOf(one),
      ...[one.good, one.goodAtMs, one.failed, one.failedAtMs].map(String),
    ]);
    await script.exec([WEBHOOKS_KEY], args);
  }

  /** Reads the counts of some sources, in their order, with one command. */
  async function read(sources: readonly CountedSource[]): Promise<WebhookCount[]> {
    if (sources.length === 0) return [];
    // The client gives HMGET as a list, because its deserialisation is off.
    const reply: unknown = await redis.hmget(WEBHOOKS_KEY, ...sources.map(fieldOf));
    return (reply as (string | null)[]).map(parse);
  }

  return { add, read };
}

function parse(text: string | null): WebhookCount {
  const [good, goodAtMs, failed, failedAtMs] = (text ?? "").split(" ").map(Number);
  if (good === undefined || goodAtMs === undefined || failed === undefined || failedAtMs === undefined)
    return NOTHING;
  return { good, goodAtMs, failed, failedAtMs };
}
