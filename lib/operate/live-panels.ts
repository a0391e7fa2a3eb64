/** Asks Postgres for the panels that somebody looks at, each once an interval for all who look at it; else it is never asked. */
import type { LiveLetters, LivePanel, LiveStored } from "../contract/live.ts";
import { LIVE_ROWS_MAX } from "../contract/live-bounds.ts";
import type { Registry } from "../schema/registry.ts";
import type { Stream } from "../schema/stream.ts";
import type { Store } from "../store/store.ts";

interface Deps {
  store: Pick<Store, "countLetters" | "newestRows" | "streamsWithLetters">;
  streams: Registry;
  now: () => number;
  monotonicMs: () => number;
  everyMs: number;
}

interface Panel {
  viewers: number;
  /** The line's content as JSON, without its time: another one means a new line. */
  content: string | undefined;
  line: string | undefined;
  nextAtMs: number;
  isAsking: boolean;
}

export class LivePanels {
  readonly #deps: Deps;
  readonly #open = new Map<LivePanel, Panel>();

  constructor(deps: Deps) {
    this.#deps = deps;
  }

  /** Opens panels for one more viewer. */
  open(names: readonly LivePanel[]): void {
    for (const name of names) {
      const panel = this.#open.get(name) ?? newPanel();
      panel.viewers += 1;
      this.#open.set(name, panel);
    }
  }

  /** Closes the panels of a viewer who is gone. */
  close(names: readonly LivePanel[]): void {
    for (const name of names) {
      const panel = this.#open.get(name);
      if (panel === undefined) continue;
      panel.viewers -= 1;
      if (panel.viewers === 0) this.#open.delete(name);
    }
  }

  /** The panel's newest line; the same text until something changes. */
  lineOf(name: LivePanel): string | undefined {
    return this.#open.get(name)?.line;
  }

  /** Asks for each panel whose time has come. Call it often. */
  beat(): void {
    const nowMs = this.#deps.monotonicMs();
    for (const [name, panel] of this.#open) {
      if (panel.isAsking || nowMs < panel.nextAtMs) continue;
      panel.isAsking = true;
      panel.nextAtMs = nowMs + this.#deps.everyMs;
      void this.#ask(name, panel);
    }
  }

  /** Never rejects. */
  async #ask(name: LivePanel, panel: Panel): Promise<void> {
    const read = name === "letters" ? this.#readLetters() : this.#readRows(name.slice("stored:".length));
    const content = await read;
    panel.isAsking = false;
    const text = JSON.stringify(content);
    if (text === panel.content) return;
    panel.content = text;
    panel.line = `${JSON.stringify({ ...content, at: new Date(this.#deps.now()).toISOString() })}\n`;
  }

  /** One query if there are no letters. */
  async #readLetters(): Promise<Omit<LiveLetters, "at">> {
    const { store, streams } = this.#deps;
    try {
      const names = await store.streamsWithLetters([...streams.keys()]);
      const known = names.map((name) => streams.get(name)).filter((stream) => stream !== undefined);
      const counted = await Promise.all(
        known.map(async (stream) => ({ stream: stream.name, ...(await store.countLetters(stream)) })),
      );
      const told = counted.map(({ stream, dead, held, heldReason }) => ({ stream, dead, held, heldReason }));
      return { kind: "letters", streams: told.filter(({ dead, held }) => dead + held > 0) };
    } catch {
      return { kind: "letters", streams: null };
    }
  }

  async #readRows(stream: string): Promise<Omit<LiveStored, "at">> {
    const { store, streams } = this.#deps;
    try {
      const rows = await store.newestRows(streams.get(stream) as Stream, LIVE_ROWS_MAX);
      return { kind: "stored", stream, rows };
    } catch {
      return { kind: "stored", stream, rows: null };
    }
  }
}

const newPanel = (): Panel => ({
  ...{ viewers: 0, content: undefined, line: undefined },
  ...{ nextAtMs: Number.NEGATIVE_INFINITY, isAsking: false },
});
