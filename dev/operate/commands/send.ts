/** `spillway send`: posts the lines of a file, or of standard input, as events of a stream. */

import { createReadStream, statSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { describeSeconds } from "../../../lib/contract/length-of-time.ts";
import { action, type Values } from "../command.ts";
import { CommandFailed, countOf, jsonOption, UsageError, wholeNumber } from "../command-line.ts";
import { findIngest } from "../find-ingest.ts";
import { type Batch, batchesOf } from "../send/batches.ts";
import { deliver, type RejectedLine, type Target } from "../send/deliver.ts";
import { linesOf } from "../send/lines.ts";
import { Progress, Rejections } from "../send/report.ts";

/** A longer line is no event of any stream. */
const LINE_MAX_BYTES = 8_000_000;

const options = {
  rate: { type: "string", value: "N", about: "events a second, at most" },
  "from-line": { type: "string", value: "N", about: "go on there: what was sent before is only read" },
  rejected: {
    type: "string",
    value: "FILE",
    about: "write rejected lines there, with their text, as NDJSON",
  },
  name: {
    type: "string",
    value: "TEXT",
    about: "tells this input from another one that holds the same lines",
  },
  prod: { type: "boolean", about: "send to the deployed system, which terraform knows" },
  ...jsonOption,
} as const;

export default action({
  about: "Posts the lines of an NDJSON file, or of standard input, as events.",
  words: "STREAM [FILE]",
  wordsMax: 2,
  options,
  notes: [
    "Each line is an event. An event without an id gets one that follows from its batch's place and bytes, so sending",
    "the same input again stores nothing twice: a sending that was interrupted goes on if you run it again. A changed",
    "file is another input: mend rejected lines in a file of their own (--rejected), and send that one.",
    "",
    "The key is SPILLWAY_API_KEY, and ingest is at SPILLWAY_URL; without them both are of a running spillway start.",
  ].join("\n"),
  async run({ values, words: [stream, file = "-"] }) {
    if (stream === undefined) throw new UsageError("expected a stream");
    const rate = wholeNumber("--rate", values.rate, undefined);
    const fromLine = wholeNumber("--from-line", values["from-line"], 1);
    const { url, apiKey } = await findIngest(values);
    const input = openInput(file);
    const stopping = new AbortController();
    const progress = new Progress(input.totalBytes);
    const target: Target = {
      ...{ url: `${url}/v1/${encodeURIComponent(stream)}`, apiKey, signal: stopping.signal },
      onWait: (why, waitMs) =>
        progress.say(
          `Ingest takes nothing now (${why}); next try in ${describeSeconds(Math.ceil(waitMs / 1000))}.`,
        ),
    };
    for (const name of ["SIGINT", "SIGTERM"] as const) process.once(name, () => stopping.abort());
    const sending = new Sending(target, progress, rate, values, fromLine);
    try {
      await sending.sendAll(batchesOf(linesOf(input.pieces, LINE_MAX_BYTES), values.name ?? ""));
    } catch (error) {
      if (!stopping.signal.aborted) throw sending.explain(error, file);
      progress.say(`Stopped. ${sending.howToGoOn()}`);
      return 1;
    } finally {
      progress.clear();
    }
    return sending.end(values.json);
  },
});

/** Opens a file, or standard input. Throws a CommandFailed if it can't be read. */
function openInput(file: string): { pieces: AsyncIterable<Buffer>; totalBytes: number | undefined } {
  if (file === "-") return { pieces: process.stdin, totalBytes: undefined };
  try {
    const { size } = statSync(file);
    return { pieces: createReadStream(file, { highWaterMark: 262_144 }), totalBytes: size || undefined };
  } catch (error) {
    throw new CommandFailed(`${file} can't be read (${(error as NodeJS.ErrnoException).code}).`);
  }
}

/** One input on its way. */
class Sending {
  readonly #target: Target;
  readonly #progress: Progress;
  readonly #rejections: Rejections;
  readonly #rate: number | undefined;
  readonly #fromLine: number;
  #accepted = 0;
  #duplicates = 0;
  /** The last line of the last batch that was answered. */
  #doneLine = 0;
  #freeAtMs = performance.now();

  constructor(
    target: Target,
    progress: Progress,
    rate: number | undefined,
    { rejected }: Values<typeof options>,
    fromLine: number,
  ) {
    this.#target = target;
    this.#progress = progress;
    this.#rate = rate;
    this.#fromLine = fromLine;
    this.#rejections = new Rejections(progress, rejected, fromLine > 1);
  }

  /** Sends batch after batch. */
  async sendAll(batches: AsyncIterable<Batch>): Promise<void> {
    for await (const batch of batches) {
      if (batch.lastLine >= this.#fromLine) await this.#send(from(batch, this.#fromLine));
      this.#target.signal.throwIfAborted();
      this.#doneLine = batch.lastLine;
      this.#progress.show(batch.readBytes, this.#accepted);
    }
  }

  async #send(batch: Batch): Promise<void> {
    await this.#keepPace(batch.lines.length);
    const { accepted, duplicates, rejected } = await deliver(this.#target, batch);
    this.#accepted += accepted;
    this.#duplicates += duplicates;
    this.#rejections.add([...rejected, ...batch.tooLong.map(tooLong)].sort((a, b) => a.line - b.line));
  }

  /** Each batch pays for the time after it. */
  async #keepPace(count: number): Promise<void> {
    if (this.#rate === undefined) return;
    const waitMs = this.#freeAtMs - performance.now();
    if (waitMs > 0) await sleep(waitMs, undefined, { signal: this.#target.signal });
    this.#freeAtMs = Math.max(this.#freeAtMs, performance.now()) + (count * 1000) / this.#rate;
  }

  /** How to go on after an end that was not planned. */
  howToGoOn(): string {
    const next = this.#doneLine + 1;
    const spare = next > 1 ? `; --from-line ${next} spares it the lines before` : "";
    return `${countOf(this.#accepted, "event")} accepted. Run the same command again to go on: nothing is stored twice${spare}.`;
  }

  explain(error: unknown, file: string): unknown {
    const { code, syscall } = error as NodeJS.ErrnoException;
    if (error instanceof CommandFailed) return new CommandFailed(`${error.message} ${this.howToGoOn()}`);
    if (syscall === "read" || syscall === "open")
      return new CommandFailed(`${file} can't be read (${code}).`);
    return error;
  }

  /** Prints the sum, and returns the exit status. */
  end(isJson = false): number {
    this.#rejections.end();
    const [accepted, duplicates, rejected] = [this.#accepted, this.#duplicates, this.#rejections.count];
    if (isJson) console.log(JSON.stringify({ accepted, duplicates, rejected }));
    else {
      const before = duplicates > 0 ? `, ${duplicates.toLocaleString("en-US")} of them stored before` : "";
      console.log(
        `${countOf(accepted, "event")} accepted${before}, ${rejected.toLocaleString("en-US")} rejected.`,
      );
    }
    return rejected > 0 ? 1 : 0;
  }
}

/** A batch without the lines before this one. Its key stays, so that the others have the ids that they had in the whole batch. */
const from = (batch: Batch, line: number): Batch => ({
  ...batch,
  lines: batch.lines.filter(({ number }) => number >= line),
  tooLong: batch.tooLong.filter((number) => number >= line),
});

const tooLong = (line: number): RejectedLine => ({
  ...{ line, code: "event-too-large", bytes: undefined },
  errors: [{ path: "", message: `expected at most ${LINE_MAX_BYTES} bytes` }],
});
