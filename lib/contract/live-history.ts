/**
 * The lines of `GET /live` of the supervisor that are kept, for 15 minutes: what happens, and seconds of it in sums. Zod schemas, as those of
 * the other lines (live.ts). The console's page imports types only from here, so that it has no zod.
 */
import { z } from "zod";
import { count, moment } from "./body-parts.ts";
import { drainOutcome } from "./drain.ts";
import { LIVE_IDS_MAX } from "./live-bounds.ts";

const ms = z.number();
const name = z.string();

/** A line of the history that is kept as it is. A page goes on behind it by `after=RING:CURSOR`. */
const inHistory = {
  cursor: count.describe("Rises by 1 from line to line. A gap is told by a line `behind`."),
  at: moment,
};

/** What is told of a batch, and in sums of several. */
const settled = {
  stream: name,
  rows: count.describe("Its events: stored + duplicates + superseded + held + dead."),
  bytes: count.describe(
    "The envelopes' length together, in UTF-16 code units: bytes, if all of it is ASCII.",
  ),
  stored: count.describe("Newly stored."),
  duplicates: count.describe("Their id was stored before."),
  superseded: count.describe("A newer event of their key is stored."),
  held: count.describe("Set aside without proof that they are at fault; they are tried again."),
  dead: count,
  oldestLagMs: ms.describe(
    "How long its oldest event waited, from receipt until the insert had ended. 0: none of it became a row.",
  ),
  insertMs: ms.describe("How long its insert took, with all tries."),
};

const liveBatch = z
  .object({
    kind: z.literal("batch"),
    ...inHistory,
    ...settled,
    partition: count,
    ids: z
      .array(name)
      .max(LIVE_IDS_MAX)
      .readonly()
      .describe("Row ids of its first events, without those that were set aside."),
    newestLagMs: ms.describe("The same of its newest event."),
  })
  .describe("A batch was settled: each of its events is stored or set aside.");
export type LiveBatch = z.infer<typeof liveBatch>;

const liveRetried = z
  .object({
    kind: z.literal("retried"),
    ...inHistory,
    stream: name,
    stored: count.describe("Newly stored."),
    dead: count.describe("Dead from now on."),
  })
  .describe("Held letters were tried again, and some of them settled.");

const liveSums = z
  .object({ ...settled, batches: count })
  .describe(
    "The batches of one stream in one second: as in a batch, added up. Of the times, the longest. Letters that were tried again are in `stored` and `dead`, and in nothing else.",
  );
export type LiveSums = z.infer<typeof liveSums>;

const liveWaiting = z.object({
  stream: name,
  pending: count,
  sealed: count,
  claimed: count,
  oldestReceivedAt: moment
    .nullable()
    .describe("When the oldest of them was received; null if that can't be read."),
  heldPartitions: count.describe("Partitions that a drain call holds."),
  heldSinceAt: moment.nullable().describe("Since when the longest of them is held; null if none is."),
});
export type LiveWaiting = z.infer<typeof liveWaiting>;

export const liveSecond = z
  .object({
    kind: z.literal("second"),
    at: moment.describe("The second's beginning."),
    streams: z.array(liveSums).readonly(),
    waiting: z
      .array(liveWaiting)
      .readonly()
      .exactOptional()
      .describe(
        "What waited, as the last line of the second said it; absent: nothing was said, so it had not changed or nobody looked.",
      ),
  })
  .describe(
    "One second of the history in sums: the batches that are too old to be kept one by one. They come oldest first, before any batch.",
  );
export type LiveSecond = z.infer<typeof liveSecond>;

const liveStopped = z
  .object({
    kind: z.literal("stopped"),
    ...inHistory,
    stream: name,
    partition: count,
    outcome: z
      .enum(["unreachable", "busy", "misconfigured", "abandoned"])
      .describe(
        "unreachable, busy: Postgres; misconfigured: somebody has to mend something; abandoned: time was up or the lease lost.",
      ),
    sqlstate: name.nullable(),
    reason: name.nullable().describe("Without data of an event."),
  })
  .describe("A batch was handed back: something stopped its insert, and it is tried again.");
export type LiveStopped = z.infer<typeof liveStopped>;

const liveCounts = z
  .object({
    kind: z.literal("counts"),
    ...inHistory,
    streams: z
      .array(liveWaiting)
      .readonly()
      .nullable()
      .describe(
        "The streams for which something waits; a stream that is not named has nothing. Null: Redis does not answer.",
      ),
  })
  .describe("What waits in Redis. It comes at first, and when it changes.");
export type LiveCounts = z.infer<typeof liveCounts>;

const livePause = z
  .object({
    kind: z.literal("pause"),
    ...inHistory,
    stream: name,
    isPaused: z.boolean(),
    untilAt: moment.nullable().describe("When the pause ends by itself; null if it is not paused."),
    by: name.nullable().describe("Who paused or resumed it, as far as is known."),
    sinceAt: moment.nullable().exactOptional().describe("Since when it is paused; absent: as from `at`."),
    why: name.nullable().exactOptional().describe("Null or absent: no reason is known."),
  })
  .describe(
    "A stream was paused or resumed at run time, by whatever instance. It comes again for a page that can't have seen its first line.",
  );
export type LivePause = z.infer<typeof livePause>;

const liveDrainBegun = z
  .object({
    kind: z.literal("drain-begun"),
    ...inHistory,
    call: name.describe("Names the call; its end has the same."),
    isFlush: z.boolean().describe("True: an eager flush of one partition; false: a tick, or a call by hand."),
    streams: z.array(name).readonly().describe("The streams of which something waits."),
  })
  .describe("A drain call begins. A tick that finds no work has no line.");

const liveDrainEnded = z
  .object({
    kind: z.literal("drain-ended"),
    ...inHistory,
    call: name,
    durationMs: ms,
    stored: count.describe("Events newly stored."),
    outcome: drainOutcome.describe("The worst of its streams', as `POST /drain` reports it."),
  })
  .describe("The end of a drain call that has a beginning.");

/** The lines that have a cursor. */
export const liveEntries = [
  liveBatch,
  liveRetried,
  liveStopped,
  liveCounts,
  livePause,
  liveDrainBegun,
  liveDrainEnded,
] as const;
export type LiveEntry = z.infer<(typeof liveEntries)[number]>;

/** An entry without the members that the history gives it. */
export type LiveHappening = LiveEntry extends infer Entry
  ? Entry extends LiveEntry
    ? Omit<Entry, keyof typeof inHistory>
    : never
  : never;
