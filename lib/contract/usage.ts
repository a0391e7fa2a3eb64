/**
 * The JSON of `GET /usage` and `GET /refusals`, as zod schemas: the types, the OpenAPI document and the command line's check come from
 * them. An answer may get further members later. The console's page imports types only from here, so that it has no zod.
 */
import { z } from "zod";
import { count, moment } from "./body-parts.ts";

export const usageHour = z
  .object({
    hour: moment.describe("When the hour began."),
    key: z.string().nullable().describe("Null: requests without a known key."),
    stream: z.string().nullable().describe("Null: requests without a known stream."),
    accepted: count,
    rejected: count,
    throttled: count,
    shed: count,
    bytes: count,
  })
  .describe("The sums of one hour, key and stream; docs/operations.md says what is counted.");
export type UsageHour = z.infer<typeof usageHour>;

/** The use of ingest. */
export const usageReport = z.object({
  since: moment,
  until: moment,
  hours: z.array(usageHour).describe("One for each hour, key and stream, the newest hour first."),
  isCut: z.boolean().describe("Whether there is more than one answer takes; ask for less."),
});
export type UsageReport = z.infer<typeof usageReport>;

/** Something that was refused. */
export const refusalReport = z.object({
  at: moment.describe("By the clock of the instance."),
  key: z.string().nullable().describe("Null: there was no known key."),
  code: z.string(),
  path: z.string().describe("Names that the stream's schema does not declare are `*`."),
  message: z.string(),
  requestId: z.string(),
});
export type RefusalReport = z.infer<typeof refusalReport>;

export const refusalsReport = z
  .object({
    stream: z
      .string()
      .nullable()
      .describe("Null: those of requests that named no known stream, or showed no known key."),
    refusals: z.array(refusalReport),
  })
  .describe("The last refusals of a stream, the newest first.");
export type RefusalsReport = z.infer<typeof refusalsReport>;
