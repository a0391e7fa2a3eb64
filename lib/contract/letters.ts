/**
 * The JSON of `GET /dead-letters`, of a redrive, of its dry run and of a purge, as zod schemas: the types, the OpenAPI document and the
 * command line's check come from them. An answer may get further members later. The console's page imports types only from here, so that
 * it has no zod.
 */
import { z } from "zod";
import { count, moment } from "./body-parts.ts";

const sqlstate = z.string().nullable().describe("Null: it was not Postgres that refused it.");

/** Letters that died alike. */
export const letterGroup = z.object({
  stream: z.string(),
  sqlstate,
  reason: z.string(),
  isHeld: z
    .boolean()
    .describe("They are tried again by themselves, because nothing proves yet that they are at fault."),
  letters: count,
  live: count.describe("Those that need attention: not redriven, and not stored since."),
  firstDiedAt: moment,
  lastDiedAt: moment,
  exampleId: z.string(),
  notCompared: z
    .string()
    .nullable()
    .describe(
      "Why they were not compared with their stream's table, so that some may be stored; null: they were.",
    ),
});
export type LetterGroup = z.infer<typeof letterGroup>;

/** Letters that were not compared with their stream's table, and why. */
const notCompared = z
  .array(z.object({ stream: z.string(), why: z.string() }))
  .readonly()
  .describe(
    "Streams whose letters all count as live, because they were not compared with their table, and why.",
  );
export type NotCompared = z.infer<typeof notCompared>[number];

/** `GET /dead-letters`. */
export const letterGroups = z.object({
  total: count,
  live: count,
  notCompared,
  groups: z.array(letterGroup).readonly().describe("The largest first."),
});
export type LetterGroups = z.infer<typeof letterGroups>;

/** A letter as it is listed, without its event. */
export const listedLetter = z.object({
  stream: z.string(),
  id: z.string(),
  sqlstate,
  reason: z.string(),
  burials: count,
  receivedAt: moment.nullable(),
  diedAt: moment,
  redrivenAt: moment.nullable(),
  isLive: z.boolean(),
  retryAt: moment.nullable().describe("When it is tried again by itself; null: it is not."),
});
export type ListedLetter = z.infer<typeof listedLetter>;

/** `GET /dead-letters?each=1`. */
export const letterPage = z.object({
  letters: z.array(listedLetter).readonly(),
  notCompared,
  next: z.string().nullable().describe("Sent again as `cursor`, it goes on; null: these were the last."),
});
export type LetterPage = z.infer<typeof letterPage>;

/** A letter with its event. */
export const shownLetter = listedLetter.extend({
  envelope: z.string().describe("The event, as the buffer holds it. It may be personal data."),
  notCompared: z
    .string()
    .nullable()
    .describe(
      "Why it was not compared with its stream's table, so that its event may be stored; null: it was.",
    ),
});
export type ShownLetter = z.infer<typeof shownLetter>;

/** `GET /dead-letters/{id}`. */
export const shownLetters = z.object({
  letters: z.array(shownLetter).readonly().describe("One of each stream that has a letter of this id."),
});
export type ShownLetters = z.infer<typeof shownLetters>;

/** A letter that can't be redriven. */
export const skippedLetter = z.object({ stream: z.string(), id: z.string(), why: z.string() });
export type SkippedLetter = z.infer<typeof skippedLetter>;

/** How far one part of a redrive, or of its dry run, came. */
const part = {
  skipped: count.describe("Letters that can't be redriven."),
  skippedLetters: z.array(skippedLetter).describe("The first hundred of `skipped`."),
  stopped: z.string().nullable().describe("Why it ended early, in a sentence."),
  next: z.string().nullable().describe("The `cursor` with which to go on, because the time was up."),
};

/** `POST /dead-letters/redrive`. */
export const redriveAnswer = z.object({
  redriven: count,
  changed: count.describe("Pushed, and not marked, because they had died again or were purged by then."),
  ...part,
});
export type RedriveAnswer = z.infer<typeof redriveAnswer>;

/** Letters that would die alike. */
export const trialGroup = z.object({
  letters: count,
  stream: z.string(),
  sqlstate,
  reason: z.string(),
  exampleId: z.string(),
});
export type TrialGroup = z.infer<typeof trialGroup>;

/** The same with `dryRun`. */
export const trialAnswer = z.object({
  stored: count.describe("They would be stored."),
  refused: count.describe("They would die again."),
  there: count.describe("Stored already."),
  otherKey: count.describe("They would be stored under another key, because a trigger changes it."),
  groups: z.array(trialGroup).describe("Those that would die, the most first."),
  ...part,
});
export type TrialAnswer = z.infer<typeof trialAnswer>;

/** `POST /dead-letters/purge`. */
export const letterCount = z.object({
  letters: count.describe("How many were deleted, or would be."),
  live: count.describe("How many of them were live."),
  notCompared,
});
export type LetterCount = z.infer<typeof letterCount>;
