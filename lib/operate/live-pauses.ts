/**
 * Tells those who look on which streams are paused, whoever paused them. A pause of this process is told as it happens; one of another
 * instance, or of before, is found by the poll, and told if it differs from the last word.
 */
import type { Pause } from "../buffer/pauses.ts";
import type { LiveHappening } from "../contract/live-history.ts";
import type { Registry } from "../schema/registry.ts";
import type { LiveRing } from "./live-ring.ts";

type Happening = Extract<LiveHappening, { kind: "pause" }>;

interface Deps {
  streams: Registry;
  ring: LiveRing;
  now: () => number;
}

/** The last word on a stream, and the cursor of its line. */
interface Told {
  happening: Happening;
  cursor: number;
}

/** What was told up to a moment. */
export type ToldPauses = ReadonlyMap<string, Told>;

/** An end that differs by less is the same: it is reckoned from what is left of it, and an answer takes its time. */
const SAME_END_MS = 1500;

export class LivePauses {
  readonly #deps: Deps;
  readonly #told = new Map<string, Told>();

  constructor(deps: Deps) {
    this.#deps = deps;
  }

  /** Notes a pause, or its end. */
  note(happening: Happening): void {
    const { ring, now } = this.#deps;
    ring.note(happening);
    const sinceAt = happening.sinceAt ?? instant(now());
    this.#told.set(happening.stream, { happening: { ...happening, sinceAt }, cursor: ring.newest });
  }

  /** What was told until now. */
  told(): ToldPauses {
    return new Map(this.#told);
  }

  /** Notes what differs from the last word. `found`: the pauses as Redis has them; `before`: what was told when Redis was asked. */
  see(found: ReadonlyMap<string, Pause>, before: ToldPauses): void {
    const { streams, now } = this.#deps;
    for (const stream of streams.keys()) {
      if (before.get(stream) !== this.#told.get(stream)) continue; // it was heard meanwhile, and that is newer
      const pause = found.get(stream);
      const untilMs = pause?.endsInMs === undefined ? undefined : now() + pause.endsInMs;
      if (pause === undefined && before.get(stream)?.happening.isPaused) this.note(resumed(stream));
      if (pause && !this.#isTold(stream, untilMs)) this.note(paused(stream, pause, untilMs));
    }
  }

  /** Tells again which streams are paused, if the line that told it is not kept any more. */
  sayAgain(): void {
    const { ring } = this.#deps;
    for (const { happening, cursor } of this.told().values())
      if (happening.isPaused && cursor < ring.oldest) this.note(happening);
  }

  /** Whether this pause was told: its end says so. */
  #isTold(stream: string, untilMs: number | undefined): boolean {
    const last = this.#told.get(stream)?.happening;
    if (!last?.isPaused) return false;
    if (last.untilAt === null || untilMs === undefined) return last.untilAt === null && untilMs === undefined;
    return Math.abs(Date.parse(last.untilAt) - untilMs) <= SAME_END_MS;
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
