/**
 * The senders: they post 1 to 500 events at a time to the real HTTP endpoint, as a well-behaved client does. An id is the
 * event's own or comes from an Idempotency-Key. An event that is not acknowledged is sent again with the same id, a bounded
 * number of times. Then it is given up.
 */
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { eventOf, type StreamName } from "./events.ts";
import type { Ledger } from "./ledger.ts";
import type { Random } from "./random.ts";

/** Where to, and as whom. */
export interface Target {
  ingestUrl: string;
  apiKey: string;
  seed: number;
  ledger: Ledger;
}

interface Options extends Target {
  events: number;
  /** Which post comes next, beginning with the event of this number. */
  choose: (first: number) => Post;
  senders: number;
  /** Ends the load early, at a moment in milliseconds. */
  deadlineAtMs: number;
  /** Events per second over all senders, so that faults fall into the load; undefined: as fast as it goes. */
  perSecond: number | undefined;
}

const TRIES = 8;
const TIMEOUT_MS = 20_000;
/** The share of posts that ask for ack=stored. Leads always are. */
const STORED_SHARE = 0.15;

/** One request's worth of events: numbers from `first`, all of one stream. */
export interface Post {
  stream: StreamName;
  first: number;
  count: number;
  withOwnIds: boolean;
  ack: "buffered" | "stored";
}

interface Answer {
  status: number;
  ids?: string[];
  ack?: "buffered" | "stored";
  rejected?: { index: number }[];
  /** Of a 422: an event of a batch has an index. */
  errors?: { index?: number }[];
  /** Of an error: what is wrong. */
  detail?: string;
}

/** Sends everything; resolves when every event was acknowledged, refused or given up. */
export async function sendAll(options: Options): Promise<void> {
  const startedAtMs = performance.now();
  let next = 0;
  const sender = async () => {
    while (next < options.events && performance.now() < options.deadlineAtMs) {
      const aheadMs = options.perSecond
        ? (next / options.perSecond) * 1000 - (performance.now() - startedAtMs)
        : 0;
      if (aheadMs > 0) await sleep(aheadMs);
      const chosen = options.choose(next);
      const post = { ...chosen, count: Math.min(chosen.count, options.events - next) };
      if (post.count <= 0) return;
      next += post.count;
      await sendPost(options, post);
    }
  };
  await Promise.all(Array.from({ length: options.senders }, sender));
}

/** Half the posts are single events, most others some dozens, a few up to 500. */
export function mixedPost(random: Random, first: number): Post {
  const kind = random.next();
  const stream = kind < 0.58 ? "events" : kind < 0.83 ? "locations" : kind < 0.95 ? "activities" : "leads";
  const size = random.next();
  const wanted = size < 0.5 ? 1 : size < 0.8 ? random.whole(2, 50) : random.whole(51, 500);
  const count = stream === "leads" ? 1 : wanted;
  const withOwnIds = random.next() < 0.5;
  return { stream, first, count, withOwnIds, ack: random.next() < STORED_SHARE ? "stored" : "buffered" };
}

/** Sends one post until it is acknowledged, refused or given up. */
export async function sendPost(options: Target, post: Post): Promise<void> {
  const { ledger, seed } = options;
  for (let i = 0; i < post.count; i++) ledger.noteSent(post.first + i, post.stream);
  const idempotencyKey = randomUUID();
  const events = Array.from({ length: post.count }, (_, i) => ({
    ...(post.withOwnIds ? { id: randomUUID() as string } : {}),
    ...eventOf(seed, post.stream, post.first + i),
  }));
  const body = JSON.stringify(post.count === 1 ? events[0] : events);
  for (let tries = 0; tries < TRIES; tries++) {
    const answer = await sendOnce(options, post, idempotencyKey, body);
    ledger.noteAnswer(nameOf(answer));
    if (answer?.status === 202 || answer?.status === 201) return noteAccepted(ledger, post, answer);
    if (answer?.status === 422) return noteRefused(ledger, post, answer);
    if (answer && answer.status !== 503 && answer.status !== 429) return;
    await sleep(Math.min(5000, 100 * 2 ** tries));
  }
}

/** An answer's status, and why a 503 was one: "503 (the buffer is full)". */
function nameOf(answer: Answer | undefined): string {
  if (answer === undefined) return "no answer";
  const why = answer.status === 503 ? answer.detail?.split(";")[0] : undefined;
  return why === undefined ? String(answer.status) : `${answer.status} (${why})`;
}

function noteAccepted(
  ledger: Ledger,
  post: Post,
  { ack = "buffered", rejected = [], ids = [] }: Answer,
): void {
  const refused = new Set(rejected.map(({ index }) => index));
  if (ids.length + refused.size !== post.count)
    throw new Error(
      `expected ${post.count} answers to ${post.count} events, got ${ids.length + refused.size}`,
    );
  for (let i = 0; i < post.count; i++)
    if (refused.has(i)) ledger.noteRefused(post.first + i);
    else ledger.noteAcknowledged(post.first + i, ack);
}

/** Every event is valid, so whatever is refused is refused by Postgres. */
function noteRefused(ledger: Ledger, post: Post, { errors = [] }: Answer): void {
  for (const { index = 0 } of errors) ledger.noteRefused(post.first + index);
}

async function sendOnce(
  { ingestUrl, apiKey }: Target,
  { stream, ack }: Post,
  idempotencyKey: string,
  body: string,
): Promise<Answer | undefined> {
  try {
    const response = await fetch(`${ingestUrl}/v1/${stream}?ack=${ack}`, {
      method: "POST",
      headers: {
        authorization: `Bearer ${apiKey}`,
        "content-type": "application/json",
        "idempotency-key": idempotencyKey,
      },
      body,
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    return { ...((await response.json()) as object), status: response.status };
  } catch {
    return undefined; // no answer: nothing is known
  }
}
