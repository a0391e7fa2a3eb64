/** Reads the requests for dead letters: which letters are asked for, by query or by body, and where an earlier answer ended. */
import { z } from "zod";
import {
  type LetterRequest,
  letterId,
  lettersLimit,
  listRequest,
  purgeRequest,
  redriveRequest,
  streamName,
} from "../lib/contract/letter-requests.ts";
import type { Position } from "../lib/operate/redrive.ts";
import { readRfc3339 } from "../lib/schema/timestamp.ts";
import type { Cursor, LetterFilter } from "../lib/store/dead-letter-store.ts";
import { Problem } from "./answer.ts";

/** A moment that Postgres can hold. */
const moment = z.string().superRefine((text, context) => {
  const read = readRfc3339(text);
  if (typeof read === "string") context.addIssue({ code: "custom", message: read });
});

/** Adds to a request that its moments are moments. */
const withMoments = <T extends z.ZodType<Pick<LetterRequest, "since" | "until">>>(request: T) =>
  request.superRefine((asked, context) => {
    for (const name of ["since", "until"] as const) {
      const read = asked[name] === undefined ? undefined : readRfc3339(asked[name]);
      if (typeof read === "string") context.addIssue({ code: "custom", path: [name], message: read });
    }
  });

export const redriveOf = withMoments(redriveRequest);
export const purgeOf = withMoments(purgeRequest);
const listOf = withMoments(listRequest);
export type ListRequest = z.output<typeof listOf>;

const positionSchema = z.strictObject({
  startedAt: moment,
  after: z.strictObject({ stream: streamName, id: letterId, diedAt: moment }),
  left: lettersLimit.optional(),
});

/** The names of a query's parameters that may stand several times, and what the schemas call them. */
const REPEATABLE: Record<string, string> = { stream: "streams", sqlstate: "sqlstates", id: "ids" };

/** Reads the query of `GET /dead-letters`. Throws a 400 that says what was expected. */
export function listRequestOf(query: URLSearchParams): ListRequest {
  const parsed = listOf.safeParse(
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
export const filterOf = (request: LetterRequest): LetterFilter => {
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
