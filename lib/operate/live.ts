/**
 * `GET /live`: shows all viewers what happens. One timer serves all of them, and there is none while nobody looks on; Redis is asked
 * by one poll for all (live-poll.ts), Postgres for the panels that are open (live-panels.ts). The drain knows nothing of it but the
 * history (live-ring.ts), into which it notes its batches.
 */
import type { WaitingLook } from "../buffer/waiting.ts";
import type { LiveHello, LivePanel } from "../contract/live.ts";
import { LIVE_VIEWERS_MAX } from "../contract/live-bounds.ts";
import type { LiveHappening } from "../contract/live-history.ts";
import { isInternal, type Registry } from "../schema/registry.ts";
import type { Stream } from "../schema/stream.ts";
import { hasNewestRows } from "../store/newest-rows.ts";
import type { Store } from "../store/store.ts";
import { LivePanels } from "./live-panels.ts";
import { LivePauses } from "./live-pauses.ts";
import { LivePoll } from "./live-poll.ts";
import { LiveRing } from "./live-ring.ts";
import { LiveStoredCounts } from "./live-stored.ts";
import { type LiveSink, LiveViewer } from "./live-viewer.ts";

/** How often new lines are written, in milliseconds: what comes within goes in one piece. */
const BEAT_MS = 100;

interface Deps {
  waiting: WaitingLook;
  store: Pick<Store, "countLetters" | "newestRows" | "streamsWithLetters">;
  streams: Registry;
  /** Streams of DRAIN_PAUSED. */
  paused: ReadonlySet<string>;
  now: () => number;
  monotonicMs: () => number;
  /** How often Redis is asked while nothing changes, and Postgres for an open panel, in milliseconds. */
  everyMs: number;
  /** How much the buffer takes, in bytes. */
  capacityBytes?: number;
  /** Aborted when the process is told to end. */
  stopping: AbortSignal;
}

/** What a viewer asks for. */
export interface LiveRequest {
  /** Goes on behind this line of this history. */
  after: { ring: string; cursor: number } | undefined;
  panels: readonly LivePanel[];
}

export class Live {
  readonly #deps: Deps;
  readonly #ring: LiveRing;
  readonly #poll: LivePoll;
  readonly #panels: LivePanels;
  readonly #pauses: LivePauses;
  readonly #stored: LiveStoredCounts;
  readonly #viewers = new Set<LiveViewer>();
  readonly #stop = () => {
    for (const viewer of this.#viewers) viewer.end("ending");
  };
  #timer: NodeJS.Timeout | undefined;

  constructor(deps: Deps) {
    this.#deps = deps;
    this.#ring = new LiveRing(deps);
    this.#pauses = new LivePauses({ ...deps, ring: this.#ring });
    this.#poll = new LivePoll({ ...deps, ring: this.#ring, pauses: this.#pauses });
    this.#panels = new LivePanels(deps);
    this.#stored = new LiveStoredCounts(deps.now);
  }

  /** Notes what happened, for the history. It costs some microseconds, whoever looks on. */
  note(happening: LiveHappening): void {
    this.#stored.add(happening);
    if (happening.kind === "pause") this.#pauses.note(happening);
    else this.#ring.note(happening);
  }

  /** Whether no further viewer is taken. */
  get isFull(): boolean {
    return this.#viewers.size >= LIVE_VIEWERS_MAX;
  }

  /** Shows what happens until the response ends; returns how its end is told. */
  open(sink: LiveSink, request: LiveRequest): () => void {
    if (this.#viewers.size === 0) this.#begin();
    this.#sayAgain();
    const { panels: names } = request;
    this.#panels.open(names);
    const from = this.#beginningOf(request);
    const viewer = new LiveViewer({
      ...this.#deps,
      ring: this.#ring,
      panels: this.#panels,
      sink,
      names,
      from,
      sayAgain: () => this.#sayAgain(),
    });
    this.#viewers.add(viewer);
    if (this.#deps.stopping.aborted) viewer.end("ending");
    this.#beat();
    return () => this.#close(viewer, names);
  }

  #close(viewer: LiveViewer, names: readonly LivePanel[]): void {
    if (!this.#viewers.delete(viewer)) return;
    this.#panels.close(names);
    if (this.#viewers.size === 0) this.#rest();
  }

  /** Says again what holds and is told by no line that is kept: for whoever comes now, or has missed lines. */
  #sayAgain(): void {
    this.#poll.sayAgain();
    this.#pauses.sayAgain();
  }

  #begin(): void {
    this.#poll.restart();
    this.#deps.stopping.addEventListener("abort", this.#stop);
    this.#timer = setInterval(() => this.#beat(), BEAT_MS);
  }

  #rest(): void {
    this.#deps.stopping.removeEventListener("abort", this.#stop);
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #beat(): void {
    this.#poll.beat();
    this.#panels.beat();
    for (const viewer of this.#viewers) viewer.beat();
  }

  /** Names of the release's streams, without Spillway's own. */
  #named(isMeant: (stream: Stream) => boolean): string[] {
    const meant = [...this.#deps.streams].filter(([name, stream]) => !isInternal(name) && isMeant(stream));
    return meant.map(([name]) => name);
  }

  /** The first lines of a response, and the cursor behind which it goes on. */
  #beginningOf({ after, panels }: LiveRequest): { cursor: number; lines: string[] } {
    const { id, sinceMs, newest, oldest } = this.#ring;
    const cursor = after?.ring === id ? after.cursor : -1;
    const isContinued = cursor >= oldest - 1 && cursor <= newest;
    const hello: LiveHello = {
      kind: "hello",
      ring: id,
      sinceAt: new Date(sinceMs).toISOString(),
      cursor: newest,
      isContinued,
      nowAt: new Date(this.#deps.now()).toISOString(),
      pollMs: this.#deps.everyMs,
      streams: this.#named(() => true),
      paused: [...this.#deps.paused],
      panels,
      readable: this.#named(hasNewestRows),
      storedSoFar: this.#stored.report(),
      ...(this.#deps.capacityBytes === undefined ? {} : { capacityBytes: this.#deps.capacityBytes }),
    };
    const first = `${JSON.stringify(hello)}\n`;
    if (isContinued) return { cursor, lines: [first] };
    return { cursor: oldest - 1, lines: [first, ...this.#ring.seconds()] };
  }
}
