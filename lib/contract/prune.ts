/**
 * The JSON of `POST /prune`, as a zod schema: the types, the OpenAPI document and the command line's check come from it. It may get further
 * members later.
 */
import { z } from "zod";
import { count } from "./body-parts.ts";

export const pruneAnswer = z.object({
  lettersDays: count.describe("How old settled letters must be, in days; 0: they are kept for ever."),
  usageDays: count.describe("The same of rows of spillway_usage."),
  letters: count.describe("Letters that were deleted, or would be."),
  usage: count.describe("The same of rows of spillway_usage."),
  isDone: z
    .boolean()
    .describe("Whether nothing that is old enough is left; false: the time was up, or it is a dry run."),
  isDryRun: z.boolean(),
});
export type PruneAnswer = z.infer<typeof pruneAnswer>;
