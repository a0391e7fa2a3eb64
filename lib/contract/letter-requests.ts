/**
 * The requests for dead letters, as zod schemas: which letters are asked for, and what is to be done with them. The supervisor checks
 * besides that a moment is one (functions/letter-requests.ts). The OpenAPI document comes from them, too.
 */
import { z } from "zod";
import { moment } from "./body-parts.ts";

/** Values of one filter: more than people ask for. */
const VALUES_MAX = 1000;
/** Groups or letters in one answer. */
export const LETTER_ROWS_MAX = 1000;
/** Letters that one redrive or purge may be told to take at most; without a limit it takes all. */
const LIMIT_MAX = 10_000_000;

const whole = (max: number) =>
  z
    .number()
    .int(`expected a whole number from 1 to ${max}`)
    .min(1, `expected a whole number from 1 to ${max}`)
    .max(max, `expected a whole number from 1 to ${max}`);

export const streamName = z
  .string()
  .max(64)
  .refine((text) => !text.includes("\0"), "expected a name without NUL");
export const letterId = z.guid("expected a UUID").toLowerCase();
const listOf = <T extends z.ZodType>(one: T) => z.array(one).max(VALUES_MAX).default([]);

/** How many letters of a redrive are left to take. */
export const lettersLimit = whole(LIMIT_MAX);

/** Which letters; what is left out asks for nothing in particular. */
const filter = {
  streams: listOf(streamName),
  sqlstates: listOf(
    z
      .string()
      .regex(/^[0-9A-Z]{5}$/, "expected five digits or letters, or null")
      .nullable(),
  ).describe("Null: letters that it was not Postgres that refused."),
  ids: listOf(letterId),
  since: moment.optional().describe("Died at or after this."),
  until: moment.optional().describe("Died before this."),
  state: z.enum(["dead", "held"], { error: "expected dead or held" }).optional(),
  all: z.boolean().default(false).describe("Also letters that need no attention: redriven, or stored since."),
};
export type LetterRequest = z.output<z.ZodObject<typeof filter>>;

const cursor = z
  .string()
  .max(1000)
  .optional()
  .describe("The `next` of an earlier answer to the same request.");

/** `POST /dead-letters/redrive`. */
export const redriveRequest = z.strictObject({
  ...filter,
  limit: lettersLimit.optional(),
  rate: whole(LIMIT_MAX).default(100).describe("Events per second, at most."),
  dryRun: z.boolean().default(false).describe("Tries the inserts, and rolls them back."),
  cursor,
});

/** `POST /dead-letters/purge`. Held letters may be good: without a state, dead ones only are meant. */
export const purgeRequest = z
  .strictObject({
    ...filter,
    state: filter.state.default("dead"),
    limit: lettersLimit.optional(),
    dryRun: z.boolean().default(false).describe("Only counts them."),
    allLetters: z.boolean().default(false).describe("Every letter is meant, because no filter is given."),
  })
  .refine(
    ({ allLetters, streams, sqlstates, ids, since, until }) =>
      allLetters ||
      streams.length + sqlstates.length + ids.length > 0 ||
      since !== undefined ||
      until !== undefined,
    "expected a filter, or allLetters",
  );

/** The query of `GET /dead-letters`, once it is read into names and values. */
export const listRequest = z.strictObject({
  ...filter,
  each: z.boolean().default(false).describe("Letter by letter, not by groups."),
  limit: whole(LETTER_ROWS_MAX).default(100).describe("Of letters with each=1, and of groups otherwise."),
  cursor,
});
