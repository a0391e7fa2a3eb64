/**
 * Tells those who look on which streams were paused before, or by another instance: when the first of them comes, Redis is asked once. What
 * happens meanwhile in this process is told as it happens.
 */
import type { Pause, Pauses } from "../buffer/pauses.ts";
import type { LiveHappening } from "../contract/live.ts";
import type { Registry } from "../schema/registry.ts";
import type { LiveRing } from "./live-ring.ts";

type Happening = Extract<LiveHappening, { kind: "pause" }>;

interface Deps {
  pauses?: Pick<Pauses, "find">;
  streams: Registry;
  ring: LiveRing;
  now: () => number;
}

export class LivePauses {
  readonly #deps: Deps;
  /** The last word on each stream. */
  readonly #told = new Map<string, Happening>();

  constructor(deps: Deps) {
    this.#deps = deps;
  }

  /** Remembers what is told otherwise. */
  hear(happening: Happening): void {
    this.#told.set(happening.stream, happening);
  }

  /** Asks Redis, and notes what differs from the last word. Never rejects: if Redis is away, the page hears so from the counts. */
  async look(): Promise<void> {
    const { pauses, streams, now } = this.#deps;
    const before = new Map(this.#told);
    const found = await pauses?.find([...streams.keys()]).catch(() => undefined);
    if (found === undefined) return;
    for (const stream of streams.keys()) {
      if (before.get(stream) !== this.#told.get(stream)) continue; // it was heard meanwhile, and that is newer
      const pause = found.get(stream);
      const untilMs = pause?.endsInMs === undefined ? undefined : now() + pause.endsInMs;
      if (pause === undefined && before.get(stream)?.isPaused) this.#note(resumed(stream));
      if (pause && !this.#isTold(stream, untilMs)) this.#note(paused(stream, pause, untilMs));
    }
  }

  /** Whether this pause was told: its end, to the second, says so. */
  #isTold(stream: string, untilMs: number | undefined): boolean {
    const last = this.#told.get(stream);
    if (!last?.isPaused) return false;
    if (last.untilAt === null || untilMs === undefined) return last.untilAt === null && untilMs === undefined;
    return Math.abs(Date.parse(last.untilAt) - untilMs) < 1000;
  }

  #note(happening: Happening): void {
    this.hear(happening);
    this.#deps.ring.note(happening);
  }
}

const paused = (stream: string, { sinceMs, by, why }: Pause, untilMs: number | undefined): Happening => ({
  kind: "pause",
  stream,
  isPaused: true,
  untilAt: instant(untilMs),
  by: by ?? null,
  sinceAt: instant(sinceMs),
  why: why ?? null,
});

const resumed = (stream: string): Happening => ({
  kind: "pause",
  stream,
  isPaused: false,
  untilAt: null,
  by: null,
});

/** The last moment that a Date holds. */
const LAST_MS = 8.64e15;
const instant = (ms: number | undefined): string | null =>
  ms === undefined || ms > LAST_MS ? null : new Date(ms).toISOString();
