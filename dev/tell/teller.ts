/**
 * Tells on the terminal what happens while `npm start` runs: it reads the lines of the functions' logs, and those of
 * dev/stack/beside-function.mjs. An idle system says nothing.
 */
import type { StreamReport } from "../../lib/drain/drain-report.ts";
import {
  describeAccepted,
  describeDrain,
  describeMore,
  describeRefusal,
  type Paint,
  type Refusal,
  type Sums,
} from "./describe.ts";
import { Quiet } from "./quiet.ts";
import { Troubles } from "./troubles.ts";

export type Source = "ingest" | "supervisor" | "scheduler";

type Entry = Record<string, unknown> & { event?: string; severity?: string; stream?: string };

/** Fields that make the same warning look like another one. */
const OF_ONE_REQUEST = /^requestId$|\/trace$/;

const HOW_TO_MIGRATE = "npm run db:generate makes the migration, npx spillway migrate applies it";

export class Teller {
  readonly #print: (line: string) => void;
  readonly #paint: Paint;
  readonly #troubles = new Troubles();
  readonly #warnings: Quiet;

  /** What is told of a log event, in place of the event itself. */
  readonly #readers: Record<string, (entry: Entry) => void> = {
    "local.accepted": ({ streams }) => this.#tell("ingest", "green", describeAccepted(streams as Sums)),
    "local.refused": (entry) => this.#tell("refused", "red", describeRefusal(entry as unknown as Refusal)),
    "local.refused-more": ({ codes }) => this.#tell("refused", "red", describeMore(codes as Sums)),
    "drain.finished": (entry) => this.#readDrain(entry),
    "table.differs": (entry) => this.#readDifferences(entry),
    "stream.paused": (entry) => this.#sayTrouble(this.#pauseOf(entry)),
    "stream.resumed": ({ stream = "" }) => this.#sayTrouble(this.#troubles.end(stream)),
  };

  /** By which the supervisor says why a stream is not drained, or why none is. */
  readonly #stops: Record<string, (entry: Entry) => void> = {
    "store.misconfigured": (entry) => this.#sayTrouble(this.#stopOf(entry)),
    "store.unavailable": (entry) => this.#sayTrouble(this.#stopOf(entry)),
    "buffer.misconfigured": () => this.#stopAll("Redis refuses the token, or a key holds another type"),
    "buffer.unavailable": () => this.#stopAll("Redis does not answer"),
    "drain.failed": () => this.#stopAll("a fault of Spillway: npx spillway doctor may tell more"),
  };

  constructor(print: (line: string) => void, paint: Paint) {
    this.#print = print;
    this.#paint = paint;
    this.#warnings = new Quiet((text) => this.#tell("warning", "yellow", text));
  }

  /** Tells of a change of the streams' files. */
  sayStreams(text: string): void {
    const lines = text.split("\n");
    for (const line of lines.slice(0, -1)) this.#print(line); // as tsc or the function wrote them
    this.#tell("streams", undefined, lines.at(-1) ?? "");
  }

  /** Reads a line that a function wrote, or the scheduler. */
  read(source: Source, line: string, stream: "stdout" | "stderr"): void {
    const entry = parse(line);
    if (source === "scheduler") this.#stopAll(line);
    else if (entry !== undefined) this.#readEntry(source, entry);
    else if (stream === "stderr" && line.trim() !== "") this.#tell(source, "red", line);
  }

  #readEntry(source: Source, entry: Entry): void {
    const { event = "", severity } = entry;
    const read = this.#readers[event] ?? (source === "supervisor" ? this.#stops[event] : undefined);
    if (read !== undefined) read(entry);
    else if (severity === "WARNING" || severity === "ERROR") this.#warn(source, entry);
  }

  #readDrain(entry: Entry): void {
    const reports = (Array.isArray(entry.streams) ? entry.streams : []) as StreamReport[];
    const isFlush = entry.flush === true;
    const done = describeDrain(reports, Number(entry.durationMs ?? 0));
    if (done !== undefined) this.#tell(isFlush ? "flush" : "drain", "green", done);
    if (!isFlush) for (const line of this.#troubles.readTick(reports)) this.#sayTrouble(line);
  }

  #readDifferences({ stream, differences }: Entry): void {
    const sentences = Array.isArray(differences) ? differences.join("; ") : "";
    this.#tell("streams", "yellow", `${stream}: ${sentences}; ${HOW_TO_MIGRATE}`);
  }

  #stopOf({ stream = "", reason, sqlstate }: Entry): string | undefined {
    const code = sqlstate === undefined ? "" : ` (SQLSTATE ${sqlstate})`;
    return this.#troubles.begin(stream, `${reason}${code}`);
  }

  #pauseOf({ stream = "", by, why }: Entry): string | undefined {
    const who = by === undefined ? "" : ` by ${by}`;
    return this.#troubles.pause(stream, `paused${who}${why === undefined ? "" : `: ${why}`}`);
  }

  #stopAll(reason: string): void {
    this.#sayTrouble(this.#troubles.begin("", reason));
  }

  #sayTrouble(line: string | undefined): void {
    if (line !== undefined) this.#tell("drain", "red", line);
  }

  #warn(source: Source, { severity, event, time: _time, message, ...fields }: Entry): void {
    const details = Object.entries(fields)
      .filter(([name]) => !OF_ONE_REQUEST.test(name))
      .map(([name, value]) => `${name}=${typeof value === "string" ? value : JSON.stringify(value)}`);
    const name = String(event ?? message);
    this.#warnings.say(
      name,
      `${source} ${severity === "ERROR" ? "error: " : ""}${[name, ...details].join(" ")}`,
    );
  }

  #tell(word: string, colour: Parameters<Paint>[0] | undefined, text: string): void {
    const padded = word.padEnd(7);
    const painted = colour === undefined ? padded : this.#paint(colour, padded);
    this.#print(`${new Date().toTimeString().slice(0, 8)} ${painted}  ${text}`);
  }
}

function parse(line: string): Entry | undefined {
  if (!line.startsWith("{")) return undefined;
  try {
    return JSON.parse(line) as Entry;
  } catch {
    return undefined;
  }
}
