/**
 * One viewer: writes the lines behind its cursor, as fast as its reader takes them. It keeps no line for later but those of the
 * seconds, which are bounded; a reader who is too slow misses lines and is told so, or its response ends.
 */
import type { ServerResponse } from "node:http";
import type { LiveEnd, LiveLine, LivePanel } from "../contract/live.ts";
import { LIVE_IDLE_MS, LIVE_LONGEST_MS, LIVE_SILENCE_MS } from "../contract/live-bounds.ts";
import type { LivePanels } from "./live-panels.ts";
import type { LiveRing } from "./live-ring.ts";

/** Where the lines go: a response, whose head is sent. */
export type LiveSink = Pick<ServerResponse, "destroy" | "end" | "on" | "write" | "writableNeedDrain">;

/** Characters that are written at once. */
const PART_MAX = 65_536;
/** A reader who has taken nothing for so long is behind, in milliseconds; after the last line, so long is waited once more. */
const STUCK_MS = 60_000;

interface Deps {
  sink: LiveSink;
  ring: LiveRing;
  panels: LivePanels;
  names: readonly LivePanel[];
  now: () => number;
  monotonicMs: () => number;
  /** Behind which line it goes on, and the lines that come before. */
  from: { cursor: number; lines: string[] };
  /** Called when lines were missed: what they told and still holds is noted again. */
  sayAgain: () => void;
}

export class LiveViewer {
  readonly #deps: Deps;
  readonly #openedMs: number;
  readonly #before: string[];
  readonly #shown = new Map<LivePanel, string>();
  #cursor: number;
  #wroteMs: number;
  #endedMs: number | undefined;

  constructor(deps: Deps) {
    this.#deps = deps;
    this.#openedMs = deps.monotonicMs();
    this.#wroteMs = this.#openedMs;
    this.#cursor = deps.from.cursor;
    this.#before = deps.from.lines;
    deps.sink.on("drain", () => this.beat());
  }

  /** Writes what is new, and ends the response if it is time. Call it often; it calls itself when the reader has taken something. */
  beat(): void {
    const nowMs = this.#deps.monotonicMs();
    if (this.#endedMs !== undefined) {
      if (nowMs - this.#endedMs >= STUCK_MS) this.#deps.sink.destroy();
      return;
    }
    this.#pump(nowMs);
    const reason = this.#reasonToEnd(nowMs);
    if (reason !== undefined) this.end(reason);
    else if (nowMs - this.#wroteMs >= LIVE_SILENCE_MS && !this.#deps.sink.writableNeedDrain)
      this.#write(lineOf({ kind: "alive", at: this.#nowAt() }), nowMs);
  }

  /** Ends the response with its last line. */
  end(reason: LiveEnd["reason"]): void {
    if (this.#endedMs !== undefined) return;
    this.#endedMs = this.#deps.monotonicMs();
    this.#deps.sink.end(lineOf({ kind: "end", at: this.#nowAt(), reason }));
  }

  #pump(nowMs: number): void {
    while (!this.#deps.sink.writableNeedDrain) {
      const text = this.#next();
      if (text === undefined) return;
      this.#write(text, nowMs);
    }
  }

  #write(text: string, nowMs: number): void {
    this.#wroteMs = nowMs;
    this.#deps.sink.write(text);
  }

  /** The next lines: the seconds before, then the history, then the panels. */
  #next(): string | undefined {
    if (this.#before.length > 0) return this.#before.splice(0, 100).join("");
    const part = this.#deps.ring.after(this.#cursor, PART_MAX);
    if (part === undefined) return this.#nextOfPanels();
    this.#cursor = part.cursor;
    if (part.missed === 0) return part.text;
    this.#deps.sayAgain();
    return lineOf({ kind: "behind", at: this.#nowAt(), missed: part.missed }) + part.text;
  }

  #nextOfPanels(): string | undefined {
    const { panels, names } = this.#deps;
    for (const name of names) {
      const line = panels.lineOf(name);
      if (line === undefined || line === this.#shown.get(name)) continue;
      this.#shown.set(name, line);
      return line;
    }
    return undefined;
  }

  #reasonToEnd(nowMs: number): LiveEnd["reason"] | undefined {
    const { ring, sink } = this.#deps;
    if (sink.writableNeedDrain && nowMs - this.#wroteMs >= STUCK_MS) return "behind";
    if (nowMs - this.#openedMs >= LIVE_LONGEST_MS) return "renew";
    return nowMs - Math.max(ring.changedMs, this.#openedMs) >= LIVE_IDLE_MS ? "idle" : undefined;
  }

  #nowAt(): string {
    return new Date(this.#deps.now()).toISOString();
  }
}

const lineOf = (line: LiveLine): string => `${JSON.stringify(line)}\n`;
