/**
 * Answers `POST /v1/{stream}` once key and stream are known. Reads the head (post-head.ts) and the body (admit-body.ts), gives the
 * events to `accept`, and answers with the level that they reached: buffered or stored. What can be refused without the body is
 * refused before it is read.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { clientAddress } from "../lib/access/client-address.ts";
import type { FoundKey } from "../lib/access/keyring.ts";
import { deadlineIn } from "../lib/flow/deadline.ts";
import type { Room } from "../lib/flow/room.ts";
import { type Accepted, accept } from "../lib/ingest/accept.ts";
import type { Admission, Rejected } from "../lib/ingest/admit.ts";
import type { Stream } from "../lib/schema/stream.ts";
import { acceptedBody, NOT_ACCEPTED } from "./acceptance.ts";
import { type AdmitBodyDeps, admitBody, type Post } from "./admit-body.ts";
import { Problem, sendJson, tryAgain } from "./answer.ts";
import { confirmAgain, type KeyDeps } from "./key-of.ts";
import { type Records, recordAdmitted, recordNotAccepted, recordRejected } from "./on-record.ts";
import { postHeadOf } from "./post-head.ts";
import { refuseGuessable } from "./public-key.ts";
import { type RateDeps, refuseInDebt, takeTokens } from "./rate-limit.ts";
import type { RequestUrl } from "./request-url.ts";

export interface PostDeps extends AdmitBodyDeps, KeyDeps, RateDeps, Records {
  accepting: Parameters<typeof accept>[0];
  /** Whether the stream's buffer is full: what would be pushed now would be shed. */
  isShedding(stream: string): Promise<boolean> | false;
  /** The room of all bodies under way in this instance. */
  room: Room;
  /** How long a request may take until it is answered, in milliseconds. */
  answerWithinMs: number;
}

/** The size of a body that is read although the buffer is full, so that its answer has ids. */
const SMALL_BYTES = 65_536;

/**
 * Answers a POST. Throws a Problem for each error; the front door answers it. After the body is read, and before anything is accepted, it
 * looks at the key again.
 */
export async function answerPost(
  deps: PostDeps,
  req: IncomingMessage,
  res: ServerResponse,
  { query }: RequestUrl,
  found: FoundKey,
  stream: Stream,
): Promise<void> {
  const { key } = found;
  const share = deps.room.share();
  try {
    const head = postHeadOf(req, query, stream, deps.bodyMaxBytes);
    if (key.kind === "public") refuseGuessable(head.idempotencyKey);
    const address = key.kind === "public" ? addressOf(req) : undefined;
    const post = { head, req, stream, key, share, deadlineAtMs: deadlineIn(deps.answerWithinMs), address };
    const { request, accepting, recording } = await startAccepting(deps, post, found);
    const accepted = await accepting;
    if (recording) await recording;
    answer(deps, res, post, request, accepted);
  } finally {
    share.giveBack();
  }
}

const addressOf = ({ headers, socket }: IncomingMessage): string =>
  clientAddress(headers["x-forwarded-for"] as string | undefined, socket.remoteAddress);

/** A request whose events are on their way. Holds everything that the answer needs, without the events' data. */
interface AdmittedRequest extends Pick<Admission, "indexes" | "resendIds" | "rejected"> {
  isBatch: boolean;
  ids: string[];
}

/**
 * Admits a request's events and starts to accept them. This is a function of its own, because its frame holds the envelopes. The
 * frame must end before the request waits for Redis, so that they can be freed.
 */
async function startAccepting(
  deps: PostDeps,
  post: Post,
  found: FoundKey,
): Promise<{
  request: AdmittedRequest;
  accepting: Promise<Accepted>;
  recording: Promise<void> | undefined;
}> {
  const inDebt = refuseInDebt(deps, post);
  if (inDebt) await inDebt;
  const shedding = post.head.ack === "stored" ? false : deps.isShedding(post.stream.name);
  if (shedding && (await shedding)) await refuseUnkept(deps, post);
  const { admission, isBatch } = await admitBody(deps, post);
  const { envelopes, indexes, resendIds, rejected } = admission;
  rejectWhenNoneFits(deps, post, admission, isBatch);
  const confirming = confirmAgain(deps, found);
  if (confirming) await confirming;
  const taking = takeTokens(deps, post, envelopes.length);
  if (taking) await taking;
  const request = { ids: envelopes.map(({ id }) => id), isBatch, indexes, resendIds, rejected };
  return {
    request,
    accepting: accept(deps.accepting, post.stream, levelOf(post), envelopes, post.deadlineAtMs),
    recording: recordAdmitted(deps, post, admission),
  };
}

const levelOf = ({ key, head }: Post) => (key.kind === "public" ? "only-buffered" : head.ack);

/** Throws a 503 for a stream that is shed. Reads a small body first, so that the answer can name its ids. */
async function refuseUnkept(deps: PostDeps, post: Post): Promise<never> {
  const { stream } = post;
  const isSmall =
    post.head.encoding === "identity" &&
    Number(post.req.headers["content-length"] ?? Infinity) <= SMALL_BYTES;
  const admitted = isSmall ? await admitBody(deps, post).catch(() => undefined) : undefined;
  const count = admitted?.admission.envelopes.length ?? 0;
  deps.counts.add(stream.name, { shed: count });
  if (admitted && count > 0) throw notAccepted("shed", admitted.admission);
  throw tryAgain("buffer-full", "the buffer is full; nothing was kept: send the same request again later");
}

/** Throws if no event was admitted: a 413 if the body is a single event that is too large, otherwise a 422. */
function rejectWhenNoneFits(
  deps: PostDeps,
  post: Post,
  { envelopes, rejected, firstError, isTooLarge, threw }: Admission,
  isBatch: boolean,
): void {
  const { counts } = deps;
  const { stream } = post;
  if (threw > 0) counts.add(stream.name, { threw });
  if (envelopes.length > 0) return;
  counts.add(stream.name, { rejected: rejected.length });
  if (isTooLarge && !isBatch)
    throw new Problem("event-too-large", rejected[0]?.errors[0]?.message ?? "too large");
  recordRejected(deps, post, "invalid-event", rejected.length, firstError);
  throw noneValid("no event is valid", isBatch, rejected);
}

/** Makes a 422 that lists each error with its path, and in a batch also with its event's place. */
function noneValid(detail: string, isBatch: boolean, rejected: readonly Rejected[]): Problem {
  const more = rejected.reduce((sum, one) => sum + (one.more ?? 0), 0);
  const errors = rejected.flatMap(({ errors, more: _, ...item }) =>
    errors.map((error) => (isBatch ? { ...item, ...error } : error)),
  );
  const isRefused = rejected.some(({ code }) => code === "refused-by-database");
  return new Problem(isRefused ? "refused-by-database" : "invalid-event", detail, {
    errors,
    ...(more > 0 ? { more } : {}),
  });
}

/**
 * Says how to send a request again, so that nothing of it is stored twice. Ids that follow from the Idempotency-Key cannot be sent
 * as `id`.
 */
function notAccepted(
  why: keyof typeof NOT_ACCEPTED,
  { resendIds, rejected }: Pick<Admission, "resendIds" | "rejected">,
): Problem {
  const isDerived = resendIds.includes(undefined);
  const how = isDerived
    ? "send the same request again later, with the same Idempotency-Key"
    : "send it again later with these ids, each as the `id` of its event";
  const ids = isDerived ? {} : { ids: resendIds };
  const [code, reason] = NOT_ACCEPTED[why];
  return tryAgain(code, `${reason}; ${how}`, { ...ids, ...rejectedOf(rejected) });
}

function answer(
  deps: PostDeps,
  res: ServerResponse,
  post: Post,
  request: AdmittedRequest,
  accepted: Accepted,
): void {
  const { counts, rates } = deps;
  const { stream, key } = post;
  const { isBatch, indexes, rejected } = request;
  if (accepted.kind === "not-accepted") {
    recordNotAccepted(deps, post, request.ids.length);
    counts.add(stream.name, { shed: request.ids.length, rejected: rejected.length });
    throw notAccepted(accepted.why, request);
  }
  const { ack, refused } = accepted;
  if (refused.length > 0) recordNotAccepted(deps, post, refused.length);
  if (refused.length > 0)
    recordRejected(deps, post, "refused-by-database", refused.length, {
      path: "",
      message: refused[0]?.reason ?? "",
    });
  const refusedPlaces = new Set(refused.map(({ place }) => place));
  const ids =
    refusedPlaces.size === 0 ? request.ids : request.ids.filter((_, place) => !refusedPlaces.has(place));
  const all = [...rejected, ...refused.map((one) => itemOf(indexes, one))].sort((a, b) => a.index - b.index);
  counts.add(stream.name, {
    accepted: ids.length,
    rejected: all.length,
    ...(ack === "stored" && stream.ack === "buffered" ? { storedThrough: ids.length } : {}),
  });
  if (ids.length === 0) throw noneValid("Postgres refused every event", isBatch, all);
  const body = acceptedBody(ids, accepted);
  if (all.length > 0) body.rejected = all;
  sendJson(res, ack === "stored" ? 201 : 202, body, rates.headersOf(key));
}

/** Makes an item of the answer from an event that Postgres refused. */
const itemOf = (
  indexes: readonly number[],
  { place, reason }: { place: number; reason: string },
): Rejected => ({
  index: indexes[place] ?? place,
  code: "refused-by-database",
  errors: [{ path: "", message: reason }],
});

const rejectedOf = (rejected: readonly Rejected[]) => (rejected.length > 0 ? { rejected } : {});
