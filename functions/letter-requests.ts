/** The requests for dead letters, as schemas: which letters are asked for, by query or by body, and where an earlier answer ended. */
import { z } from "zod";
import type { Position } from "../lib/operate/redrive.ts";
import { readRfc3339 } from "../lib/schema/timestamp.ts";
import type { Cursor, LetterFilter } from "../lib/store/dead-letter-store.ts";
import { Problem } from "./answer.ts";

/** Values of one filter, and groups or letters in one answer: more than people ask for. */
const VALUES_MAX = 1000;
const ROWS_MAX = 1000;
/** Letters that one redrive or purge may be told to take at most; without a limit it takes all. */
const LIMIT_MAX = 10_000_000;

const whole = (max: number) =>
  z
    .number()
    .int(`expected a whole number from 1 to ${max}`)
    .min(1, `expected a whole number from 1 to ${max}`)
    .max(max, `expected a whole number from 1 to ${max}`);

/** A moment that Postgres can hold. */
const moment = z.string().superRefine((text, context) => {
  const read = readRfc3339(text);
  if (typeof read === "string") context.addIssue({ code: "custom", message: read });
});
const streamName = z
  .string()
  .max(64)
  .refine((text) => !text.includes("\0"), "expected a name without NUL");
const uuid = z.guid("expected a UUID").toLowerCase();
const listOf = <T extends z.ZodType>(one: T) => z.array(one).max(VALUES_MAX).default([]);

/** Which letters; what is left out asks for nothing in particular. */
const filterShape = {
  streams: listOf(streamName),
  /** Null: letters that it was not Postgres that refused. */
  sqlstates: listOf(
    z
      .string()
      .regex(/^[0-9A-Z]{5}$/, "expected five digits or letters, or null")
      .nullable(),
  ),
  ids: listOf(uuid),
  /** Died at or after this. */
  since: moment.optional(),
  /** Died before this. */
  until: moment.optional(),
  state: z.enum(["dead", "held"], { error: "expected dead or held" }).optional(),
  /** Also letters that need no attention: redriven, or stored since. */
  all: z.boolean().default(false),
};

const positionSchema = z.strictObject({
  startedAt: moment,
  after: z.strictObject({ stream: streamName, id: uuid, diedAt: moment }),
  left: whole(LIMIT_MAX).optional(),
});

/** `POST /dead-letters/redrive`. `cursor`: the `next` of an earlier answer to the same request. */
export const redriveRequest = z.strictObject({
  ...filterShape,
  limit: whole(LIMIT_MAX).optional(),
  /** Events per second, at most. */
  rate: whole(LIMIT_MAX).default(100),
  dryRun: z.boolean().default(false),
  cursor: z.string().max(1000).optional(),
});

/** `POST /dead-letters/purge`. Held letters may be good: without a state, dead ones only are meant. */
export const purgeRequest = z
  .strictObject({
    ...filterShape,
    state: filterShape.state.default("dead"),
    limit: whole(LIMIT_MAX).optional(),
    dryRun: z.boolean().default(false),
    /** Every letter is meant, because no filter is given. */
    allLetters: z.boolean().default(false),
  })
  .refine(
    ({ allLetters, streams, sqlstates, ids, since, until }) =>
      allLetters ||
      streams.length + sqlstates.length + ids.length > 0 ||
      since !== undefined ||
      until !== undefined,
    "expected a filter, or allLetters",
  );

const listRequest = z.strictObject({
  ...filterShape,
  /** Letter by letter, not by groups. */
  each: z.boolean().default(false),
  limit: whole(ROWS_MAX).default(100),
  cursor: z.string().max(1000).optional(),
});

export type ListRequest = z.infer<typeof listRequest>;

/** The names of a query's parameters that may stand several times, and what the schemas call them. */
const REPEATABLE: Record<string, string> = { stream: "streams", sqlstate: "sqlstates", id: "ids" };

/** Reads the query of `GET /dead-letters`. Throws a 400 that says what was expected. */
export function listRequestOf(query: URLSearchParams): ListRequest {
  const parsed = listRequest.safeParse(
    Object.fromEntries([...new Set(query.keys())].map((name) => field(query, name))),
  );
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new Problem("invalid-query", `${issue?.path.join(".") || "query"}: ${issue?.message}`);
}

function field(query: URLSearchParams, name: string): [name: string, value: unknown] {
  const values = query.getAll(name);
  if (Object.hasOwn(REPEATABLE, name))
    return [
      REPEATABLE[name] as string,
      values.map((value) => (name === "sqlstate" && value === "none" ? null : value)),
    ];
  const [value = ""] = values;
  if (name === "all" || name === "each") return [name, value === "1"];
  return [name, name === "limit" ? Number(value) : value];
}

/** The filter of a request. */
export const filterOf = (request: z.infer<z.ZodObject<typeof filterShape>>): LetterFilter => {
  const { streams, sqlstates, ids, since, until, state, all } = request;
  return { streams, sqlstates, ids, since, until, state, isAll: all };
};

/** Writes where an answer ended, for `next`. */
export const encodeNext = (position: Position | Cursor): string =>
  Buffer.from(JSON.stringify(position)).toString("base64url");

/** Reads the `next` of a redrive's answer; undefined: the request begins. Throws a 400 if it is none. */
export const positionOf = (cursor: string | undefined): Position | undefined =>
  cursor === undefined ? undefined : (decode(cursor, positionSchema) as Position);

/** Reads the `next` of a list's answer. */
export const cursorOf = (cursor: string | undefined): Cursor | undefined =>
  cursor === undefined ? undefined : decode(cursor, positionSchema.shape.after);

function decode<T>(cursor: string, schema: z.ZodType<T>): T {
  try {
    return schema.parse(JSON.parse(Buffer.from(cursor, "base64url").toString()));
  } catch {
    throw new Problem("invalid-query", "cursor: expected the next of an earlier answer");
  }
}
