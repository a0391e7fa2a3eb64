/**
 * Puts on record how requests to ingest are answered: counts by key, stream and hour, and the last refusals of each stream. Both are
 * sent in the time of some requests, which wait for that: nothing may be left running after an answer.
 */
import type { IncomingMessage } from "node:http";
import type { Refusals } from "../lib/access/refusals.ts";
import type { ThrottledKeys } from "../lib/access/throttled-keys.ts";
import type { Usage } from "../lib/access/usage.ts";
import { problems } from "../lib/contract/problems.ts";
import type { Admission } from "../lib/ingest/admit.ts";
import type { InputError } from "../lib/schema/input-error.ts";
import type { Stream } from "../lib/schema/stream.ts";
import type { Problem } from "./answer.ts";
import { requestIdOf } from "./request-id.ts";

/** Where it is put on record. */
export interface Records {
  usage: Pick<Usage, "add" | "sendIfDue">;
  refusals: Pick<Refusals, "note" | "writeIfDue">;
  throttled: Pick<ThrottledKeys, "note">;
}

/** A request, and who asks for what, as far as that is known. */
interface Asked {
  req: IncomingMessage;
  /** Its API key, or the webhook source whose signature holds. */
  key: Named | undefined;
  stream: Stream | undefined;
}

type Named = { name: string };
type Admitted = Asked & { key: Named; stream: Stream };

/** As what a webhook source is on record. No key can have this name. */
export const sourceAsKey = (source: string): Named => ({ name: `from/${source}` });

/**
 * Counts what was admitted as accepted: the rare request of whose events something else becomes is corrected. So what is sent beside
 * a request's own push has that request's events in it, and an instance that gets no other request has nothing left to send. Returns
 * what is to be awaited before the answer.
 */
export function recordAdmitted(
  records: Records,
  asked: Admitted,
  { envelopes, rejected, firstError }: Pick<Admission, "envelopes" | "rejected" | "firstError">,
): Promise<void> | undefined {
  const { usage, refusals } = records;
  usage.add(asked.key.name, asked.stream.name, "accepted", envelopes.length);
  const sending = usage.sendIfDue();
  if (rejected.length === 0) return sending;
  recordRejected(records, asked, "invalid-event", rejected.length, firstError);
  const writing = refusals.writeIfDue();
  return sending && writing ? both(sending, writing) : (sending ?? writing);
}

/** Neither of them rejects. */
async function both(one: Promise<void>, other: Promise<void>): Promise<void> {
  await one;
  await other;
}

/** Counts a signed delivery as accepted; the same goes for it. */
export function recordDelivery(
  { usage }: Records,
  key: Named,
  stream: Stream,
  bytes: number,
): Promise<void> | undefined {
  usage.add(key.name, stream.name, "bytes", bytes);
  usage.add(key.name, stream.name, "accepted", 1);
  return usage.sendIfDue();
}

/** Takes back what `recordAdmitted` has counted of events that were not accepted. */
export function recordNotAccepted(
  { usage }: Records,
  { key, stream }: Pick<Admitted, "key" | "stream">,
  count: number,
): void {
  usage.add(key.name, stream.name, "accepted", -count);
}

/** Records rejected events. Of one request, the first error stands for all. */
export function recordRejected(
  { usage, refusals }: Records,
  { req, key, stream }: Admitted,
  code: string,
  count: number,
  { path, message }: InputError = { path: "", message: "" },
): void {
  usage.add(key.name, stream.name, "rejected", count);
  const { requestId } = requestIdOf(req);
  refusals.note(stream, { key: key.name, code, path, message, requestId });
}

/**
 * Records a request that was refused. Of a 422 the events are on record already. Returns what is to be awaited before the answer;
 * undefined: nothing is.
 */
export function recordRefused(
  { usage, refusals, throttled }: Records,
  { req, key, stream }: Asked,
  problem: Problem,
): Promise<void> | undefined {
  const { code, status, message } = problem;
  if (status !== 422) {
    usage.add(key?.name, stream?.name, countOf(status), 1);
    if (key && status === 429) throttled.note(key.name);
    // What is quoted may be anything that the sender wrote.
    const told = message.includes('"') ? problems[code].title : message;
    const { requestId } = requestIdOf(req);
    refusals.note(key && stream, { key: key?.name, code, path: "", message: told, requestId });
  }
  return refusals.writeIfDue();
}

const countOf = (status: number) => (status === 429 ? "throttled" : status === 503 ? "shed" : "rejected");
