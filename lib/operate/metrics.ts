/**
 * What Prometheus reads: counters of this process's drains, and gauges of what waits in the buffer. Drains count into memory; Redis is asked
 * when somebody reads, with one look for all who read at once, and Postgres never is. Each label is the name of a stream of the release, or
 * one of a few words. Spillway's own streams are left out. docs/operations.md explains each name.
 */
import { Counter, Gauge, Registry as Register } from "prom-client";
import type { Waiting } from "../buffer/waiting.ts";
import { type DrainBody, type DrainOutcome, drainOutcome } from "../contract/drain.ts";
import { isInternal, type Registry } from "../schema/registry.ts";
import type { SharedLook } from "./shared-look.ts";

/** All streams; one stream, by hand; an eager flush. */
export type DrainKind = "tick" | "stream" | "flush";

interface Deps {
  streams: Registry;
  waiting: Pick<SharedLook, "recent">;
  /** How many bytes wait in each of these lists, roughly. */
  measure(keys: readonly string[]): Promise<number[]>;
  /** Streams of DRAIN_PAUSED. */
  paused: ReadonlySet<string>;
  /** The wall clock: ages are from when events were received. */
  now: () => number;
}

const KINDS: readonly DrainKind[] = ["tick", "stream", "flush"];
const FAILURES = ["unavailable", "misconfigured"] as const;

/** What a drain counts of each stream, by the members of its report. */
const COUNTED = {
  batches: ["spillway_batches_total", "Batches that a drain settled."],
  stored: ["spillway_stored_events_total", "Events that a drain newly stored."],
  duplicates: ["spillway_duplicate_events_total", "Events of a drain whose id was stored before."],
  superseded: ["spillway_superseded_events_total", "Events over which a newer one of their key won."],
  held: ["spillway_held_events_total", "Events set aside without proof that they are at fault."],
  dead: ["spillway_dead_events_total", "Events that became dead letters in a drain."],
} as const;
type Counted = keyof typeof COUNTED;

export class Metrics {
  readonly #deps: Deps;
  readonly #names: readonly string[];
  readonly #register = new Register();
  readonly #counters: ReadonlyMap<Counted, Counter<"stream">>;
  readonly #drains: Counter<"kind" | "outcome">;
  readonly #failures: Counter<"stream" | "outcome">;
  readonly #gauges;
  readonly #isUp: Gauge;
  #reading: Promise<string> | undefined;

  constructor(deps: Deps) {
    this.#deps = deps;
    this.#names = [...deps.streams.keys()].filter((name) => !isInternal(name));
    this.#counters = new Map(
      (Object.keys(COUNTED) as Counted[]).map((member) => {
        const [name, help] = COUNTED[member];
        return [member, this.#counter(name, help, ["stream"])];
      }),
    );
    this.#drains = this.#counter("spillway_drains_total", "Drain calls, by how they ended.", [
      "kind",
      "outcome",
    ]);
    this.#failures = this.#counter(
      "spillway_drain_failures_total",
      "Drain calls that stopped at a stream: a server did not answer, or somebody has to mend something.",
      ["stream", "outcome"],
    );
    this.#gauges = {
      events: this.#gauge("spillway_waiting_events", "Events in the buffer."),
      bytes: this.#gauge("spillway_waiting_bytes", "Their bytes, roughly, as they are buffered."),
      age: this.#gauge(
        "spillway_oldest_waiting_seconds",
        "How long the oldest of them has waited; 0: none waits.",
      ),
      paused: this.#gauge("spillway_stream_paused", "1: the stream is buffered and not drained."),
    };
    this.#isUp = new Gauge({
      ...{ name: "spillway_buffer_up", registers: [this.#register] },
      help: "1: Redis answered. 0: it did not, and what waits is not known.",
    });
    this.#beginAtZero();
  }

  get contentType(): string {
    return this.#register.contentType;
  }

  /** Counts a drain call. It costs microseconds. */
  note(kind: DrainKind, { streams }: DrainBody): void {
    this.#drains.inc({ kind, outcome: worstOf(streams.map(({ outcome }) => outcome)) });
    for (const report of streams) {
      const { stream, outcome } = report;
      if (isInternal(stream)) continue;
      for (const [member, counter] of this.#counters) counter.inc({ stream }, report[member]);
      if (outcome === "unavailable" || outcome === "misconfigured") this.#failures.inc({ stream, outcome });
    }
  }

  /** The metrics in Prometheus' text format. Whoever reads meanwhile gets the same. Redis may be away: then gauges are missing. */
  read(): Promise<string> {
    this.#reading ??= this.#read().finally(() => {
      this.#reading = undefined;
    });
    return this.#reading;
  }

  async #read(): Promise<string> {
    const { waiting, measure } = this.#deps;
    try {
      const found = await waiting.recent();
      const lists = found.lists.filter(({ stream, depth }) => depth > 0 && !isInternal(stream));
      const bytes = await measure(lists.map(({ key }) => key));
      this.#show(found, sumsOf(lists, bytes));
    } catch {
      for (const gauge of Object.values(this.#gauges)) gauge.reset();
      this.#isUp.set(0);
    }
    return this.#register.metrics();
  }

  #show({ streams, pauses }: Waiting, bytes: ReadonlyMap<string, number>): void {
    const { now, paused } = this.#deps;
    for (const stream of this.#names) {
      const found = streams.find((one) => one.stream === stream);
      const { pending = 0, sealed = 0, claimed = 0, oldestReceivedAt } = found ?? {};
      const ageMs = oldestReceivedAt === undefined ? 0 : now() - Date.parse(oldestReceivedAt);
      this.#gauges.events.set({ stream }, pending + sealed + claimed);
      this.#gauges.bytes.set({ stream }, bytes.get(stream) ?? 0);
      this.#gauges.age.set({ stream }, Math.max(0, ageMs / 1000 || 0));
      this.#gauges.paused.set({ stream }, paused.has(stream) || pauses.has(stream) ? 1 : 0);
    }
    this.#isUp.set(1);
  }

  /** A counter that is there from the start shows its first rise, too. */
  #beginAtZero(): void {
    for (const stream of this.#names) {
      for (const counter of this.#counters.values()) counter.inc({ stream }, 0);
      for (const outcome of FAILURES) this.#failures.inc({ stream, outcome }, 0);
    }
    for (const kind of KINDS)
      for (const outcome of drainOutcome.options) this.#drains.inc({ kind, outcome }, 0);
  }

  #counter<Label extends string>(name: string, help: string, labelNames: Label[]): Counter<Label> {
    return new Counter({ name, help, labelNames, registers: [this.#register] });
  }

  #gauge(name: string, help: string): Gauge<"stream"> {
    return new Gauge({ name, help, labelNames: ["stream"], registers: [this.#register] });
  }
}

function worstOf(outcomes: readonly DrainOutcome[]): DrainOutcome {
  const order = drainOutcome.options;
  return order[Math.max(0, ...outcomes.map((one) => order.indexOf(one)))] as DrainOutcome;
}

function sumsOf(lists: readonly { stream: string }[], bytes: readonly number[]): Map<string, number> {
  const sums = new Map<string, number>();
  for (const [i, { stream }] of lists.entries()) sums.set(stream, (sums.get(stream) ?? 0) + (bytes[i] ?? 0));
  return sums;
}
