/**
 * The JSON of `POST /drain`, which answers 200, or 503 if the worst outcome is one of the last two, as a zod schema: the types, the
 * OpenAPI document and the command line's check come from it. It may get further members later. The console's page imports types only from
 * here, so that it has no zod.
 */
import { z } from "zod";
import { count } from "./body-parts.ts";

/** How a drain ended, from best to worst. */
export const drainOutcome = z
  .enum(["empty", "short", "deadline", "held", "unavailable", "misconfigured"])
  .describe(
    "short: an eager flush found less than a full batch. held: another drain call has it, or the stream is paused. unavailable: Redis or Postgres did not answer. misconfigured: somebody has to mend something.",
  );
export type DrainOutcome = z.infer<typeof drainOutcome>;

export const drainedStream = z.object({
  stream: z.string(),
  batches: count,
  stored: count,
  duplicates: count.describe("Stored before."),
  differing: count.describe("Duplicates that hold another event than the one that is stored under their id."),
  superseded: count.describe("A newer event of their key won, so that they are not stored."),
  dead: count,
  held: count.describe("Set aside without proof that they are at fault; they are tried again."),
  remaining: count.nullable().describe("What is left in the buffer; null: it is not known."),
  outcome: drainOutcome.describe("The worst of its partitions'."),
});
export type DrainedStream = z.infer<typeof drainedStream>;

export const drainBody = z.object({ streams: z.array(drainedStream).readonly(), durationMs: z.number() });
export type DrainBody = z.infer<typeof drainBody>;
