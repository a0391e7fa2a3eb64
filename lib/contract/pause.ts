/**
 * The JSON of pause and resume, as zod schemas: the types, the OpenAPI document and the checks of the supervisor and of the command line
 * come from them. An answer may get further members later. The console's page imports types only from here, so that it has no zod.
 */
import { z } from "zod";
import { moment } from "./body-parts.ts";
import { PAUSE_DEFAULT, PAUSE_LENGTH_EXPECTED, pauseSecondsOf, WHY_MAX } from "./pause-length.ts";

/** The body of a pause. Its `for` is parsed to seconds. */
export const pauseRequest = z.strictObject({
  for: z
    .string()
    .default(PAUSE_DEFAULT)
    .transform((text, context) => {
      const seconds = pauseSecondsOf(text);
      if (seconds !== undefined) return seconds;
      context.addIssue({ code: "custom", message: PAUSE_LENGTH_EXPECTED });
      return z.NEVER;
    })
    .describe(
      "How long, from 1s to 24h, such as 30min or 2h. Given again, the pause ends that long from now.",
    ),
  why: z
    .string()
    .trim()
    .min(1, "expected a reason, or none")
    .max(WHY_MAX, `expected at most ${WHY_MAX} characters`)
    .regex(/^\P{Cc}*$/u, "expected one line")
    .optional()
    .describe("The reason, for whoever reads the status."),
});

export const pauseReport = z.object({
  since: moment.nullable().describe("Null if it is not known, as the three that follow."),
  until: moment.nullable().describe("When it ends by itself; null: it has no end."),
  by: z
    .string()
    .nullable()
    .describe(
      "The e-mail of whoever paused it last; null: the supervisor does not know its callers, or nobody has verified it.",
    ),
  why: z.string().nullable(),
  isInEnvironment: z
    .boolean()
    .describe(
      "Whether the stream is in DRAIN_PAUSED: then it is not drained before somebody changes that setting.",
    ),
});
export type PauseReport = z.infer<typeof pauseReport>;

/** `POST /streams/{stream}/pause`. */
export const pauseAnswer = z.object({
  stream: z.string(),
  paused: pauseReport.nullable(),
  replaced: pauseReport
    .nullable()
    .describe("The pause that this one replaces: it now ends when `paused` says; null: it was not paused."),
  note: z.string().describe("What stops and what goes on, for people."),
});
export type PauseAnswer = z.infer<typeof pauseAnswer>;

/** `POST /streams/{stream}/resume`. */
export const resumeAnswer = z.object({
  stream: z.string(),
  ended: pauseReport.nullable().describe("The pause that was ended; null: the stream was not paused."),
  paused: pauseReport
    .nullable()
    .describe("Not null: the stream is in DRAIN_PAUSED, and so it is not drained."),
  note: z.string().describe("What follows, for people."),
});
export type ResumeAnswer = z.infer<typeof resumeAnswer>;
