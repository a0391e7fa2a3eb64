/**
 * What keeps events from being stored: told when it begins, when its reason changes, and when it ends, and not with each tick. A trouble
 * is a stream's, or everybody's ("").
 */
import type { StreamReport } from "../../lib/drain/drain-report.ts";

/** A stream that another call drains is held for a moment; one that is held for so many ticks is told. */
const HELD_TICKS = 3;

export class Troubles {
  readonly #reasons = new Map<string, string>();
  readonly #heldTicks = new Map<string, number>();
  /** A paused stream of which nothing waits looks like any other. */
  readonly #paused = new Set<string>();

  /** Notes the reason of a trouble. Returns the line that tells it; undefined: it is known. */
  begin(stream: string, reason: string): string | undefined {
    if (!this.#isNew(stream, reason)) return undefined;
    return `${stream === "" ? "events wait" : `${stream}: events wait`}: ${reason}`;
  }

  /** Notes a pause, whether events wait or not; it ends when somebody ends it, or when something of the stream is drained. */
  pause(stream: string, reason: string): string | undefined {
    this.#paused.add(stream);
    return this.#isNew(stream, reason) ? `${stream}: ${reason}` : undefined;
  }

  /** Ends a trouble. Returns the line that tells it; undefined: there was none. */
  end(stream: string): string | undefined {
    this.#paused.delete(stream);
    if (!this.#reasons.delete(stream)) return undefined;
    return stream === "" ? "the drain goes on" : `${stream}: the drain goes on`;
  }

  /** Reads a tick's report. Returns the lines that tell what began and what ended. */
  readTick(reports: readonly StreamReport[]): string[] {
    const isBad = ({ outcome }: StreamReport) => outcome === "unavailable" || outcome === "misconfigured";
    const ended = reports.some(isBad) ? [] : [this.end("")];
    return [...ended, ...reports.map((report) => this.#readStream(report, isBad(report)))].filter(
      (line) => line !== undefined,
    );
  }

  #isNew(stream: string, reason: string): boolean {
    const isNew = this.#reasons.get(stream) !== reason;
    this.#reasons.set(stream, reason);
    return isNew;
  }

  #readStream({ stream, outcome, batches }: StreamReport, isBad: boolean): string | undefined {
    const isHeld = outcome === "held" && batches === 0;
    const ticks = isHeld ? (this.#heldTicks.get(stream) ?? 0) + 1 : 0;
    this.#heldTicks.set(stream, ticks);
    if (isHeld && !this.#reasons.has(stream) && ticks >= HELD_TICKS)
      return this.begin(stream, "it is paused, or another drain call has it (npx spillway status)");
    // Of a tick that gave up, the streams that it did not come to have no reason of their own.
    if (isBad && this.#reasons.size === 0) return this.begin(stream, `the drain says ${outcome}`);
    const goesOn = !isBad && outcome !== "held" && (batches > 0 || !this.#paused.has(stream));
    return goesOn ? this.end(stream) : undefined;
  }
}
