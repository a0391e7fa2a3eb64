/**
 * Answers where events are: `GET /v1/{stream}/{id}`, and `GET /v1/{stream}?id=A&id=B` for up to 100 at once. Only Postgres is
 * asked, so an event that is still buffered is "unknown". Each id costs its key a token, as an event does. With `?source=S` the ids
 * are those of CloudEvents.
 */
import type { ServerResponse } from "node:http";
import type { ApiKey } from "../lib/config.ts";
import { IDS_MAX } from "../lib/contract/limits.ts";
import { cloudEventRawId } from "../lib/ingest/cloud-event.ts";
import { type LookUp, LookUpUnavailable } from "../lib/ingest/look-up.ts";
import { candidateIds, RAW_ID_MAX } from "../lib/schema/event-ids.ts";
import type { Stream } from "../lib/schema/stream.ts";
import { findUnsafeValue } from "../lib/schema/unsafe-json.ts";
import type { Found } from "../lib/store/store.ts";
import { Problem, sendJson, tryAgain } from "./answer.ts";
import { type Rates, tooFast } from "./rate-limit.ts";

export interface WhereaboutsDeps {
  lookUp: LookUp;
  rates: Rates;
}

/** The period of the scheduler's tick: after that, an event that was buffered is usually stored. */
const TICK_SECONDS = 60;

const UNKNOWN =
  "not in Postgres: still in the buffer, held, or never received; ask again after the next tick";

/** What is said of an event of a stream in whose table no event is found by its id. */
function keepsNoIds({ name, key: { fields, newest } }: Stream): string {
  const key = fields.join(", ");
  const keeps = newest === undefined ? `its events by ${key}` : `the newest event of each ${key}`;
  return `the stream ${name} keeps no ids, but ${keeps}: whether an event is stored can't be told by its id`;
}

/** Answers where one event is: 200, or 404 if it is unknown. Throws a Problem for each error. */
export async function answerWhereabouts(
  deps: WhereaboutsDeps,
  res: ServerResponse,
  key: ApiKey,
  stream: Stream,
  rawId: string,
  query: URLSearchParams,
): Promise<void> {
  const source = sourceOf(query);
  await takeTokens(deps, key, 1);
  const candidates = candidatesOf(stream, key, rawId, source);
  if (candidates.length === 0) throw new Problem("impossible-id", "no event can have this id");
  const where = whereIn(await find(deps, stream, candidates), candidates, rawId);
  if (where.status !== "unknown") sendJson(res, 200, where);
  else if (!stream.key.keepsIds) sendJson(res, 404, { ...where, detail: keepsNoIds(stream) });
  else sendJson(res, 404, { ...where, detail: UNKNOWN }, { "retry-after": String(TICK_SECONDS) });
}

/** Answers where the events of `?id=A&id=B` are, in the order asked. Throws a Problem for each error. */
export async function answerWhereaboutsOfMany(
  deps: WhereaboutsDeps,
  res: ServerResponse,
  key: ApiKey,
  stream: Stream,
  query: URLSearchParams,
): Promise<void> {
  const rawIds = query.getAll("id");
  if (rawIds.length === 0 || rawIds.length > IDS_MAX)
    throw new Problem("invalid-query", `expected 1 to ${IDS_MAX} ids as ?id=A&id=B, got ${rawIds.length}`);
  const source = sourceOf(query);
  await takeTokens(deps, key, rawIds.length);
  const asked = rawIds.map((rawId) => ({ rawId, candidates: candidatesOf(stream, key, rawId, source) }));
  const found = await find(
    deps,
    stream,
    asked.flatMap(({ candidates }) => candidates),
  );
  const events = asked.map(({ rawId, candidates }) => whereIn(found, candidates, rawId));
  sendJson(res, 200, { events, ...(stream.key.keepsIds ? {} : { detail: keepsNoIds(stream) }) });
}

/** Takes a token for each id; at most as many as the key may spend on one request. */
async function takeTokens({ rates }: WhereaboutsDeps, key: ApiKey, count: number): Promise<void> {
  const waitSeconds = await rates.take(key, Math.min(count, rates.largestRequest(key)));
  if (waitSeconds > 0) throw tooFast(rates, key, waitSeconds, "this key asks for more than it may");
}

/** The source of the CloudEvents that are asked for; undefined: no CloudEvents. Throws a 400 for more than one. */
function sourceOf(query: URLSearchParams): string | undefined {
  const [source, ...others] = query.getAll("source");
  if (others.length > 0) throw new Problem("invalid-query", `expected one source, got ${others.length + 1}`);
  return source;
}

/** Returns the row ids under which the event may be; none if no event can have this id. */
function candidatesOf(stream: Stream, key: ApiKey, rawId: string, source: string | undefined): string[] {
  if (rawId === "" || source === "") return [];
  if (source !== undefined) return candidateIds(stream.name, key.name, cloudEventRawId(source, rawId));
  if (rawId.length > RAW_ID_MAX || findUnsafeValue(rawId)) return [];
  return candidateIds(stream.name, key.name, rawId);
}

/** Asks Postgres, if there is anything to ask for. */
async function find({ lookUp }: WhereaboutsDeps, stream: Stream, ids: readonly string[]): Promise<Found> {
  if (ids.length === 0) return new Map();
  try {
    return await lookUp(stream, ids);
  } catch (error) {
    if (!(error instanceof LookUpUnavailable)) throw error;
    throw tryAgain("database-away", "the database does not answer, or too many look-ups wait for it");
  }
}

/** The event's row id and where it is. Of several events that may be meant, one that is stored comes before one that is dead. */
function whereIn(found: Found, candidates: readonly string[], rawId: string) {
  const [first = rawId] = candidates;
  const id =
    candidates.find((one) => found.get(one) === "stored") ??
    candidates.find((one) => found.get(one) === "dead") ??
    first;
  return { id, status: found.get(id) ?? "unknown" };
}
