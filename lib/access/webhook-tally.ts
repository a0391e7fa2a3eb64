/**
 * What one instance has not yet added to the counts of webhooks (lib/buffer/webhook-counts.ts). It adds them while it answers a
 * delivery, at most every ten seconds: Cloud Run gives no CPU between requests, and however many forgeries come, they cost no more.
 */
import type { CountedSource, WebhookCount, WebhookCounts } from "../buffer/webhook-counts.ts";
import type { Log } from "../log.ts";

const EVERY_MS = 10_000;

interface Deps {
  counts: Pick<WebhookCounts, "add">;
  now: () => number;
  /** A clock that is never set back. */
  monotonicMs: () => number;
  log: Log;
}

export class WebhookTally {
  readonly #deps: Deps;
  #bySource = new Map<string, CountedSource & WebhookCount>();
  #nextAtMs = Number.NEGATIVE_INFINITY;

  constructor(deps: Deps) {
    this.#deps = deps;
  }

  /**
   * Counts a delivery. If ten seconds have passed since the last time, it also begins to add all counts to Redis's, and returns the
   * promise of that, which never rejects; the answer should wait for it a little.
   */
  count(stream: string, source: string, isGood: boolean): Promise<void> | undefined {
    const nowMs = this.#deps.now();
    const one = isGood
      ? { good: 1, goodAtMs: nowMs, failed: 0, failedAtMs: 0 }
      : { good: 0, goodAtMs: 0, failed: 1, failedAtMs: nowMs };
    this.#sum({ stream, source, ...one });
    if (this.#deps.monotonicMs() < this.#nextAtMs) return undefined;
    this.#nextAtMs = this.#deps.monotonicMs() + EVERY_MS;
    return this.#addAll();
  }

  #sum(one: CountedSource & WebhookCount): void {
    const name = `${one.stream}/${one.source}`;
    const known = this.#bySource.get(name);
    this.#bySource.set(name, {
      ...one,
      good: one.good + (known?.good ?? 0),
      goodAtMs: Math.max(one.goodAtMs, known?.goodAtMs ?? 0),
      failed: one.failed + (known?.failed ?? 0),
      failedAtMs: Math.max(one.failedAtMs, known?.failedAtMs ?? 0),
    });
  }

  /** Adds all counts. If Redis does not answer, they are added the next time: then perhaps twice. */
  async #addAll(): Promise<void> {
    const { counts, log } = this.#deps;
    const all = [...this.#bySource.values()];
    this.#bySource = new Map();
    for (const { stream, source, good, failed } of all) {
      if (failed > 0) log.warn("webhook.refused", { stream, source, good, failed });
    }
    try {
      await counts.add(all);
    } catch {
      for (const one of all) this.#sum(one);
    }
  }
}
