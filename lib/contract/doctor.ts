/**
 * The JSON of `GET /doctor`, which `spillway doctor --json` prints, as a zod schema: the types, the OpenAPI document and the command line's
 * check come from it. It may get further members later. The console's page imports types only from here, so that it has no zod.
 */
import { z } from "zod";

export const checkResult = z
  .enum(["right", "wrong", "unseen"])
  .describe(
    "right: it is as it should be. wrong: somebody has to act, now or soon. unseen: it can't be told from here, and `do` says where to look.",
  );
export type CheckResult = z.infer<typeof checkResult>;

/** What a check found, in sentences without a secret, without a value of an event, and without a value of a query. */
const finding = z.object({ result: checkResult, seen: z.string(), means: z.string(), do: z.string() });
export type Finding = z.infer<typeof finding>;

export const checkReport = finding.extend({
  check: z.string().describe("Names the check; stable."),
  group: z.enum(["redis", "postgres", "spillway"]),
});
export type CheckReport = z.infer<typeof checkReport>;

export const doctorReport = z.object({
  checks: z
    .array(checkReport)
    .describe("Every check, always, in a fixed order: by group, and within it from cause to effect."),
  durationMs: z.number(),
});
export type DoctorReport = z.infer<typeof doctorReport>;
