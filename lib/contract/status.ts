/**
 * The JSON of `GET /status`, as a zod schema: the types, the OpenAPI document and the command line's check come from it. It may get
 * further members later. The console's page imports types only from here, so that it has no zod.
 */
import { z } from "zod";
import { count, moment } from "./body-parts.ts";
import { pauseReport } from "./pause.ts";

/** The deliveries of one source. */
export const webhookReport = z
  .object({
    source: z.string(),
    good: count.describe("Those whose signature held."),
    lastGoodAt: moment.nullable().describe("When the last of them came; null: none did."),
    failed: count.describe("Those whose signature did not hold."),
    lastFailedAt: moment.nullable(),
  })
  .describe("The deliveries of one source. A killed instance's last ten seconds are missing.");
export type WebhookReport = z.infer<typeof webhookReport>;

export const versionsReport = z
  .object({
    waiting: count.describe("Events in the buffer."),
    lookedAt: count.describe(
      "How many of them were looked at: all, unless a list is long or its events are large.",
    ),
    found: z
      .array(
        z.object({
          v: z.int(),
          state: z.enum(["today", "earlier", "dropped", "newer"]),
          buffered: count.describe("Of those that were looked at."),
          letters: count.nullable().describe("Held or dead; null when Postgres does not answer."),
        }),
      )
      .describe("Today's version, and each other that was found, in their order."),
  })
  .describe("The versions of what waits in a stream's buffer and in its letters.");
export type VersionsReport = z.infer<typeof versionsReport>;

const partitionReport = z.object({
  partition: count,
  depth: count,
  heldForSeconds: z
    .int()
    .nullable()
    .describe("Seconds since the drain call that holds it began, null if none does."),
  batchAgeSeconds: z
    .int()
    .nullable()
    .describe("Seconds since the batch in hand was first claimed, null if there is none."),
  crashes: count.describe("Drain calls that died with the batch in hand."),
  lastSqlstate: z.string().nullable(),
  lastReason: z.string().nullable().describe("Why the last try ended; null: it did not fail."),
});

export const streamStatus = z.object({
  stream: z.string(),
  pending: count,
  sealed: count,
  claimed: count,
  oldestAgeSeconds: count.nullable().describe("Age of the event received first, null if nothing waits."),
  isPaused: z.boolean().describe("Whether it is not drained, for either reason."),
  paused: pauseReport.nullable().describe("Since when, until when and by whom; null: it is drained."),
  deadLetters: count.nullable().describe("Null when Postgres does not answer, as the four that follow."),
  heldLetters: count.nullable().describe("Letters that are tried again by themselves."),
  heldLettersForSeconds: z
    .int()
    .nullable()
    .describe("How long the oldest of them has been held; null if there is none."),
  heldLettersReason: z
    .string()
    .nullable()
    .describe("The reason that most of them have; null if there is none."),
  lettersNotCompared: z
    .string()
    .nullable()
    .describe(
      "Why letters were not compared with the stream's table, so that some of them may be stored; null: they were, or not counted.",
    ),
  tableDifferences: z
    .array(z.string())
    .readonly()
    .nullable()
    .describe(
      "How the table differs from what the stream declares, in sentences; null when Postgres does not answer.",
    ),
  webhooks: z
    .array(webhookReport)
    .exactOptional()
    .describe("The webhooks that came since counting began. Absent if the stream declares no source."),
  versions: versionsReport
    .exactOptional()
    .describe(
      "The versions of the data that waits. Absent if the stream has but one, and no other was found.",
    ),
  partitions: z.array(partitionReport).describe("Those in which something waits."),
});

export const statusReport = z.object({ streams: z.array(streamStatus) });
export type StatusReport = z.infer<typeof statusReport>;
