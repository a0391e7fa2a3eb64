/**
 * `GET /live` of the supervisor: one response of lines, each a JSON object (NDJSON), for a page that shows what happens. The schemas of the
 * lines; live-history.ts has those that are kept, live-bounds.ts their bounds, and lib/operate/live-*.ts makes them. The console's page imports
 * types only from here, so that it has no zod.
 *
 *     GET /live                              hello, the history of up to 15 minutes, then what happens
 *     GET /live?after=RING:CURSOR            goes on behind the line of that cursor, if the history is still the same
 *     GET /live?panels=letters,stored:leads  with lines that ask Postgres every few seconds; without it Postgres is never asked
 *
 * Times (`…At`) are RFC 3339 by the supervisor's wall clock; durations (`…Ms`) are milliseconds. A line may get further members, and
 * there may be further kinds: a page ignores those that it does not know. No line holds data of an event but its id.
 */
import { z } from "zod";
import { count, moment } from "./body-parts.ts";
import { LIVE_ROWS_MAX } from "./live-bounds.ts";
import { liveEntries, liveSecond } from "./live-history.ts";

const ms = z.number();
const name = z.string();

/** The names of panels; `stored:STREAM` names a stream. */
const panel = z.union([z.literal("letters"), z.templateLiteral(["stored:", name])]);
export type LivePanel = z.infer<typeof panel>;

const liveStoredSoFar = z
  .object({
    sinceAt: moment.describe("Since when there is a count: when the process began, or 26 hours ago at most."),
    quarters: z
      .array(z.object({ at: moment, stored: count }))
      .readonly()
      .describe(
        "Quarters of an hour in which something was stored, by their beginning: in each time zone a day begins with one.",
      ),
  })
  .describe(
    "How many events the drain newly stored since its process began, of all streams together, without Spillway's own, up to the line of `cursor`: a page adds the lines behind it. Absent: an older release.",
  );
export type LiveStoredSoFar = z.infer<typeof liveStoredSoFar>;

const liveHello = z
  .object({
    kind: z.literal("hello"),
    ring: name.describe(
      "Names this history: another one means that the supervisor was restarted, or that another instance answers.",
    ),
    sinceAt: moment.describe(
      "When the history begins: 15 minutes ago at most, or when the instance started.",
    ),
    cursor: count.describe(
      "The cursor of the newest line that the history holds at this moment; lines up to it are history.",
    ),
    isContinued: z
      .boolean()
      .describe(
        "True: the lines go on behind `after`, and none is missing. False: the page forgets what it has, and the whole history comes.",
      ),
    nowAt: moment.describe("The supervisor's clock, from which a page takes ages."),
    pollMs: ms.describe("How often Redis is asked while nothing changes."),
    streams: z.array(name).readonly().describe("The streams of the release, without Spillway's own."),
    paused: z
      .array(name)
      .readonly()
      .describe("Those of DRAIN_PAUSED: they stay paused until the next deployment."),
    panels: z.array(panel).readonly().describe("The panels that this response has."),
    readable: z
      .array(name)
      .readonly()
      .describe("The streams whose tables tell their newest rows: others have no panel `stored:STREAM`."),
    storedSoFar: liveStoredSoFar.exactOptional(),
    capacityBytes: count
      .exactOptional()
      .describe(
        "How much the buffer takes: BUFFER_MAX_BYTES of each partition to which ingest pushes. Absent: it is not known.",
      ),
  })
  .describe("The first line of each response.");
export type LiveHello = z.infer<typeof liveHello>;

const liveLetters = z
  .object({
    kind: z.literal("letters"),
    at: moment,
    streams: z
      .array(z.object({ stream: name, dead: count, held: count, heldReason: name.nullable() }))
      .readonly()
      .nullable()
      .describe("The streams that have any; null: Postgres does not answer."),
  })
  .describe(
    "The panel `letters`: dead and held letters that wait for a person or for their next try. It comes at first, and when it changes.",
  );
export type LiveLetters = z.infer<typeof liveLetters>;

const liveStored = z
  .object({
    kind: z.literal("stored"),
    at: moment,
    stream: name,
    rows: z
      .array(z.object({ id: name, receivedAt: moment }))
      .max(LIVE_ROWS_MAX)
      .readonly()
      .nullable()
      .describe(
        "Newest first, of the last 15 minutes; a page knows by the id which are new. Rows whose id was not made by Spillway are not found. Null: Postgres does not answer.",
      ),
  })
  .describe(
    "The panel `stored:STREAM`: the newest rows of the table, however they came there. It comes at first, and when it changes.",
  );
export type LiveStored = z.infer<typeof liveStored>;

const liveBehind = z
  .object({
    kind: z.literal("behind"),
    at: moment,
    missed: count.describe("How many lines of the history were left out."),
  })
  .describe("The reader was too slow: lines are missing before the next one.");

const liveAlive = z
  .object({ kind: z.literal("alive"), at: moment })
  .describe("Nothing has happened for 15 s; the connection lives.");

const liveEnd = z
  .object({
    kind: z.literal("end"),
    at: moment,
    reason: z
      .enum(["idle", "renew", "ending", "behind"])
      .describe(
        "idle: nothing has changed for 10 minutes; come again when somebody looks. renew: after 55 minutes; come again at once with `after`. ending: the instance ends; come again after a second. behind: the reader took nothing for a minute.",
      ),
  })
  .describe("The last line.");
export type LiveEnd = z.infer<typeof liveEnd>;

/** One line. */
export const liveLine = z
  .discriminatedUnion("kind", [
    liveHello,
    liveSecond,
    ...liveEntries,
    liveLetters,
    liveStored,
    liveBehind,
    liveAlive,
    liveEnd,
  ])
  .describe("One line. There may be further kinds: ignore those that you do not know.");
export type LiveLine = z.infer<typeof liveLine>;
