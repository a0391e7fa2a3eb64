/**
 * Delivers a batch: posts it until ingest has answered for each of its lines. Waits and posts the same request again if ingest asks
 * for it, or does not answer; the Idempotency-Key makes that harmless.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { type ProblemCode, problems } from "../../../lib/contract/problems.ts";
import { CommandFailed, printable } from "../command-line.ts";
import { type Batch, bodyOf, halvesOf } from "./batches.ts";
import { type Body, type Item, isWhole, readBody, readRetryAfter } from "./read-answer.ts";

/** A line that is not stored. */
export interface RejectedLine {
  line: number;
  code: string;
  errors: { path: string; message: string }[];
  bytes: Buffer | undefined;
}

export interface Delivered {
  accepted: number;
  /** Of these, events that were known to be stored before. Only a stream that is stored at once knows. */
  duplicates: number;
  rejected: RejectedLine[];
}

export interface Target {
  /** `https://…/v1/{stream}`. */
  url: string;
  apiKey: string;
  /** Ends waiting and posting. */
  signal: AbortSignal;
  /** Says why the next try waits, in milliseconds. */
  onWait(why: string, waitMs: number): void;
}

/** How long one request may take, in milliseconds: ingest answers within 45 s. */
const ANSWER_MS = 60_000;
/** The first and the longest pause where ingest names none, in milliseconds. */
const PAUSE_MS = 1000;
const PAUSE_MAX_MS = 30_000;

interface Answer {
  status: number;
  /** The pause that it asks for, in milliseconds. */
  retryAfterMs: number | undefined;
  body: Body;
}

/** Delivers a batch. Throws a CommandFailed for an answer that the same request would get again, and if `signal` ends it. */
export async function deliver(target: Target, batch: Batch): Promise<Delivered> {
  if (batch.lines.length === 0) return { accepted: 0, duplicates: 0, rejected: [] };
  const { status, body } = await answerOf(target, batch);
  if ((status === 201 || status === 202) && isWhole(body, batch.lines.length)) {
    const rejected = (body.rejected ?? []).map((item) => rejectedLine(batch, item));
    return { accepted: body.accepted ?? 0, duplicates: body.duplicates?.length ?? 0, rejected };
  }
  if (status === 422 && body.errors !== undefined) return noneAccepted(batch, body.errors, body.code);
  if (status === 413 && batch.lines.length > 1) return deliverHalves(target, batch);
  if (status === 413) return noneAccepted(batch, [{ message: body.detail ?? TOO_LARGE }], body.code);
  throw refusalOf(status, body);
}

const TOO_LARGE = "it is too large for something on the way to ingest";

const noneAccepted = (batch: Batch, items: readonly Item[], code = "event-too-large"): Delivered => ({
  ...{ accepted: 0, duplicates: 0 },
  rejected: allRejected(batch, items, code),
});

function refusalOf(status: number, { code, detail }: Body): CommandFailed {
  if (status < 300 || status === 422)
    return new CommandFailed(
      `The answer is ${status}, but not as ingest writes it: does SPILLWAY_URL name ingest?`,
    );
  const why = status < 400 ? "it redirects, and SPILLWAY_URL must name ingest itself" : "it does not say why";
  return new CommandFailed(`Ingest answered ${status}: ${printable(detail ?? code ?? why)}.`);
}

async function deliverHalves(target: Target, batch: Batch): Promise<Delivered> {
  const sum: Delivered = { accepted: 0, duplicates: 0, rejected: [] };
  for (const half of halvesOf(batch)) {
    const { accepted, duplicates, rejected } = await deliver(target, half);
    sum.accepted += accepted;
    sum.duplicates += duplicates;
    sum.rejected.push(...rejected);
  }
  return sum;
}

/** Posts until there is an answer that another try would not change. */
async function answerOf(target: Target, batch: Batch): Promise<Answer> {
  const body = bodyOf(batch.lines);
  for (let pauseMs = PAUSE_MS; ; pauseMs = Math.min(2 * pauseMs, PAUSE_MAX_MS)) {
    const answer = await post(target, batch.key, body);
    if (answer !== undefined && !mayChange(answer)) return answer;
    const atLeastMs = answer?.retryAfterMs ?? pauseMs;
    const waitMs = atLeastMs * (1 + Math.random() / 2); // so that several senders do not come back together
    const why = answer?.body.detail ?? (answer ? `it answered ${answer.status}` : "it does not answer");
    target.onWait(printable(why), waitMs);
    await sleep(waitMs, undefined, { signal: target.signal });
  }
}

/** Sends one request; undefined: no answer came. */
async function post({ url, apiKey, signal }: Target, key: string, body: Buffer): Promise<Answer | undefined> {
  const headers = {
    authorization: `Bearer ${apiKey}`,
    "content-type": "application/x-ndjson",
    "idempotency-key": key,
  };
  try {
    const response = await fetch(url, {
      ...{ method: "POST", headers, body: new Uint8Array(body), redirect: "manual" },
      signal: AbortSignal.any([signal, AbortSignal.timeout(ANSWER_MS)]),
    });
    const text = await response.text();
    const retryAfterMs = readRetryAfter(response.headers.get("retry-after"));
    return { status: response.status, retryAfterMs, body: readBody(text) };
  } catch {
    signal.throwIfAborted();
    return undefined;
  }
}

/** Whether the same request may get another answer later. */
function mayChange({ status, body: { code = "" } }: Answer): boolean {
  if (status < 400) return false;
  if (Object.hasOwn(problems, code)) return problems[code as ProblemCode].again === "later";
  return status === 408 || status === 429 || status >= 500;
}

function rejectedLine(
  { lines }: Batch,
  { index = 0, code = "invalid-event", errors = [] }: Item,
): RejectedLine {
  const line = lines[index];
  return { line: line?.number ?? 0, code, errors, bytes: line?.bytes };
}

/** Every line of a batch of which none is accepted, with its errors. */
function allRejected(batch: Batch, items: readonly Item[], code: string): RejectedLine[] {
  return batch.lines.map(({ number, bytes }, i) => {
    const mine = items.filter(({ index = 0 }) => index === i);
    const errors = mine.map(({ path = "", message = "" }) => ({ path, message }));
    return { line: number, code: mine[0]?.code ?? code, errors, bytes };
  });
}
