/** Says how a sending goes: a bar on a terminal, why it waits, which lines are rejected, and the sum at the end. */

import { closeSync, openSync, writeSync } from "node:fs";
import { styleText } from "node:util";
import { describeSeconds } from "../../../lib/contract/length-of-time.ts";
import { CommandFailed, countOf, printable } from "../command-line.ts";
import type { RejectedLine } from "./deliver.ts";

/** Rejected lines that are printed, if no file takes them. */
const PRINTED_MAX = 100;
const BAR_WIDTH = 24;
/** How often the bar is drawn at most, in milliseconds. */
const DRAW_EVERY_MS = 100;

/** A line with the share that is sent, drawn over itself; nothing where standard error is no terminal. */
export class Progress {
  readonly #totalBytes: number | undefined;
  readonly #isShown = process.stderr.isTTY === true;
  readonly #startedAtMs = performance.now();
  #drawnAtMs = 0;
  #isDrawn = false;

  /** `totalBytes` undefined: nobody knows how much will come. */
  constructor(totalBytes: number | undefined) {
    this.#totalBytes = totalBytes;
  }

  show(readBytes: number, events: number): void {
    const nowMs = performance.now();
    if (!this.#isShown || nowMs - this.#drawnAtMs < DRAW_EVERY_MS) return;
    this.#drawnAtMs = nowMs;
    const seconds = (nowMs - this.#startedAtMs) / 1000;
    const rate = Math.round(events / seconds).toLocaleString("en-US");
    const share = this.#totalBytes ? Math.min(1, readBytes / this.#totalBytes) : undefined;
    const left = share ? `, ${describeSeconds(Math.ceil((seconds / share) * (1 - share)))} left` : "";
    this.#draw(`${share === undefined ? "" : barOf(share)} ${countOf(events, "event")}, ${rate}/s${left}`);
  }

  /** Says something on a line of its own. */
  say(text: string): void {
    this.clear();
    console.error(text);
  }

  clear(): void {
    if (this.#isDrawn) process.stderr.write("\r\x1b[K");
    this.#isDrawn = false;
  }

  #draw(text: string): void {
    process.stderr.write(`\r\x1b[K${text}`);
    this.#isDrawn = true;
  }
}

function barOf(share: number): string {
  const full = Math.floor(share * BAR_WIDTH);
  const bar = styleText("green", "█".repeat(full), { stream: process.stderr }) + "░".repeat(BAR_WIDTH - full);
  return `${bar} ${String(Math.floor(share * 100)).padStart(3)} %`;
}

/** Takes rejected lines: prints the first hundred, or writes all with their text to a file, as NDJSON. */
export class Rejections {
  readonly #progress: Progress;
  readonly #file: number | undefined;
  #count = 0;

  /** Throws a CommandFailed if the file can't be written. `isContinued`: what it holds already stays. */
  constructor(progress: Progress, path: string | undefined, isContinued: boolean) {
    this.#progress = progress;
    this.#file = path === undefined ? undefined : open(path, isContinued ? "a" : "w");
  }

  get count(): number {
    return this.#count;
  }

  add(rejected: readonly RejectedLine[]): void {
    for (const { line, code, errors, bytes } of rejected) {
      this.#count += 1;
      if (this.#file !== undefined)
        writeSync(this.#file, `${JSON.stringify({ line, code, errors, text: bytes?.toString() })}\n`);
      else if (this.#count <= PRINTED_MAX) this.#progress.say(describe(line, code, errors));
    }
  }

  end(): void {
    if (this.#file !== undefined) closeSync(this.#file);
    else if (this.#count > PRINTED_MAX)
      console.error(
        `… and ${countOf(this.#count - PRINTED_MAX, "line")} more; --rejected FILE takes all of them`,
      );
  }
}

function open(path: string, flags: string): number {
  try {
    return openSync(path, flags);
  } catch (error) {
    throw new CommandFailed(`${path} can't be written (${(error as NodeJS.ErrnoException).code}).`);
  }
}

function describe(line: number, code: string, errors: RejectedLine["errors"]): string {
  const why = errors.map(({ path, message }) => (path === "" ? message : `${path}: ${message}`)).join("; ");
  return printable(`line ${line}: ${why || code}`);
}
