/**
 * Keeps a delivery whose signature holds: its event, buffered or stored, or a dead letter with its body. If nothing keeps it in time,
 * or the buffer is full, it throws a 503, and the sender sends the delivery again as it is.
 */
import { waitUntil } from "../lib/flow/deadline.ts";
import { type Accepted, accept } from "../lib/ingest/accept.ts";
import { acceptDelivery, type Bury } from "../lib/ingest/accept-letter.ts";
import type { AnswerCounts } from "../lib/ingest/answer-counts.ts";
import { type Envelope, packEnvelope } from "../lib/schema/envelope.ts";
import type { Ack, Stream } from "../lib/schema/stream.ts";
import type { WebhookSource } from "../lib/schema/webhook.ts";
import type { SignedDelivery, WebhookFailure } from "../lib/schema/webhook-event.ts";
import { letterOf } from "../lib/store/letter.ts";
import { acceptedBody, NOT_ACCEPTED } from "./acceptance.ts";
import { type Problem, tryAgain } from "./answer.ts";

export interface KeepDeps {
  accepting: Parameters<typeof accept>[0];
  counts: Pick<AnswerCounts, "add">;
  bury: Bury;
}

/** A delivery under way. */
export interface Delivery {
  stream: Stream;
  source: WebhookSource;
  deadlineAtMs: number;
}

/** What is answered to a delivery whose signature holds. */
export interface Answer {
  status: 200 | 201 | 202;
  body: Record<string, unknown>;
}

/** Has a delivery that became no event kept as a dead letter. */
export async function setAside(
  { accepting: { push }, bury, counts }: KeepDeps,
  { stream, source, deadlineAtMs }: Delivery,
  { rawBody, headers, receivedAt, id }: SignedDelivery & { id: string },
  { reason }: WebhookFailure,
): Promise<Answer> {
  const unmade = { webhook: source.name, id, receivedAt, reason, headers, rawBody };
  const accepted = await acceptDelivery({ push, bury }, stream, unmade, deadlineAtMs);
  if (accepted === "shed" || accepted === "unanswered") {
    counts.add(stream.name, { shed: 1 });
    throw notKept(accepted);
  }
  counts.add(stream.name, { accepted: 1, threw: reason.includes(" threw ") ? 1 : 0 });
  return answerOfLetter(id, accepted === "buried" ? "stored" : "buffered", reason);
}

const answerOfLetter = (id: string, ack: Ack, reason: string): Answer => ({
  status: 202,
  body: { accepted: 1, ids: [id], ack, deadLetter: reason },
});

/** Has an event kept, at the level of its stream or a better one. */
export async function keep(deps: KeepDeps, delivery: Delivery, envelope: Envelope): Promise<Answer> {
  const { stream, deadlineAtMs } = delivery;
  const pushable = stream.ack === "buffered" ? packEnvelope(envelope) : envelope;
  const accepted = await accept(deps.accepting, stream, stream.ack, [pushable], deadlineAtMs);
  if (accepted.kind === "not-accepted") {
    deps.counts.add(stream.name, { shed: 1 });
    throw notKept(accepted.why);
  }
  const [refused] = accepted.refused;
  if (refused) return buryRefused(deps, delivery, envelope, refused);
  const { ack } = accepted;
  const isThrough = ack === "stored" && stream.ack === "buffered";
  deps.counts.add(stream.name, { accepted: 1, ...(isThrough ? { storedThrough: 1 } : {}) });
  return { status: ack === "stored" ? 201 : 202, body: acceptedBody([envelope.id], accepted) };
}

/** Buries an event that Postgres refused while its sender waited: it is proven that the event is at fault. */
async function buryRefused(
  { bury, counts }: KeepDeps,
  { stream, source, deadlineAtMs }: Delivery,
  envelope: Envelope,
  { sqlstate, reason }: Extract<Accepted, { kind: "accepted" }>["refused"][number],
): Promise<Answer> {
  const letter = letterOf(stream, envelope, { sqlstate, reason: `webhook ${source.name}: ${reason}` });
  const isBuried = await waitUntil(deadlineAtMs, bury(stream, letter));
  counts.add(stream.name, isBuried === true ? { accepted: 1 } : { shed: 1 });
  if (isBuried !== true) throw notKept("unanswered");
  return answerOfLetter(envelope.id, "stored", reason);
}

/** Why a delivery is not kept, for its sender, who sends it again as it is. */
function notKept(why: Extract<Accepted, { kind: "not-accepted" }>["why"]): Problem {
  const [code, reason] = NOT_ACCEPTED[why];
  if (why !== "unproven") return tryAgain(code, `${reason}; send the delivery again later`);
  return tryAgain(
    code,
    "the database refuses it, and nothing proves that the event is at fault; it is held if the database can, and you may send it again",
  );
}
