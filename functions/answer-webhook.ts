/**
 * Answers `POST /v1/{stream}/from/{source}`: a signed webhook in place of an API key. The signature is checked on the body's bytes
 * before they are parsed. Once it holds the answer is never a 4xx, because such senders do not mend a delivery: the event is kept,
 * the delivery is ignored, or it becomes a dead letter. At the source's deadline the answer is a 503, and the sender sends it again.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Verified } from "../lib/access/webhook-signature.ts";
import type { WebhookTally } from "../lib/access/webhook-tally.ts";
import type { FindVerify } from "../lib/access/webhook-verifiers.ts";
import { deadlineIn, waitUntil } from "../lib/flow/deadline.ts";
import type { Room, Share } from "../lib/flow/room.ts";
import type { Registry } from "../lib/schema/registry.ts";
import { type WebhookSource, webhookKinds } from "../lib/schema/webhook.ts";
import { readWebhookBody, type SignedDelivery, webhookEvent } from "../lib/schema/webhook-event.ts";
import { Problem, sendJson, tryAgain } from "./answer.ts";
import { checkDeclaredLength, encodingOf, readWholeBody } from "./body.ts";
import { type Answer, type Delivery, type KeepDeps, keep, setAside } from "./keep-delivery.ts";
import { type Records, recordDelivery, recordNotAccepted, recordRefused, sourceAsKey } from "./on-record.ts";
import { headersWithId } from "./request-id.ts";
import { allow, type RequestUrl } from "./request-url.ts";

export interface WebhookDeps extends Omit<KeepDeps, "bury">, Records {
  streams: Registry;
  room: Room;
  now: () => number;
  answerWithinMs: number;
  bodyMaxBytes: number;
  eventMaxBytes: number;
  webhooks: {
    findVerify: FindVerify;
    tally: Pick<WebhookTally, "count">;
    bury: KeepDeps["bury"];
  };
}

/** How long an answer waits at most until its delivery is counted in Redis, in milliseconds. */
const COUNT_WITHIN_MS = 300;

/** Whether a path is `/v1/{stream}/from/{source}`. */
export const isWebhookPath = ({ path }: RequestUrl): boolean =>
  path.length === 4 && path[0] === "v1" && path[2] === "from";

/** Answers a delivery. Throws a Problem for each error; the front door answers it. */
export async function answerWebhook(
  deps: WebhookDeps,
  req: IncomingMessage,
  res: ServerResponse,
  { path: [, streamName = "", , sourceName = ""] }: RequestUrl,
): Promise<void> {
  if (req.method === "OPTIONS") {
    res.writeHead(204, headersWithId(res, { allow: "POST, OPTIONS" })).end();
    return;
  }
  allow(req, "POST");
  const stream = deps.streams.get(streamName);
  const source = stream?.webhooks.get(sourceName);
  // An unknown stream is not told from an unknown source, because the sender has no key.
  if (stream === undefined || source === undefined)
    throw new Problem("unknown-source", "no webhook source is known at this address");
  if (stream.retired) throw new Problem("retired-stream", `the stream ${stream.name} takes no more events`);
  const deadlineAtMs = deadlineIn(Math.min(source.withinMs, deps.answerWithinMs));
  const share = deps.room.share();
  try {
    const { status, body } = await answerTo(deps, req, { stream, source, deadlineAtMs }, share);
    sendJson(res, status, body);
  } finally {
    share.giveBack();
  }
}

async function answerTo(
  deps: WebhookDeps,
  req: IncomingMessage,
  delivery: Delivery,
  share: Share,
): Promise<Answer> {
  const { stream, source, deadlineAtMs } = delivery;
  const verify = deps.webhooks.findVerify(source);
  if (verify === undefined)
    throw tryAgain(
      "webhook-without-secret",
      "the secret of this webhook source is not set; nothing was kept",
    );
  if (encodingOf(req) !== "identity")
    throw new Problem("unsupported-encoding", "expected a webhook without Content-Encoding");
  const receivedAt = new Date(deps.now()).toISOString();
  const rawBody = await readWhole(deps, req, delivery, share);
  const verified = verify(req.headers, rawBody, deps.now());
  const counted = deps.webhooks.tally.count(stream.name, source.name, verified !== undefined);
  const key = verified && sourceAsKey(source.name);
  const sending = key && recordDelivery(deps, key, stream, rawBody.length);
  try {
    if (verified === undefined) throw invalidSignature();
    const signed = signedDelivery(req, source, { rawBody, receivedAt, ...verified });
    const answer = await answerToSigned(deps, delivery, signed);
    if (key && answer.body.accepted === undefined) recordNotAccepted(deps, { key, stream }, 1);
    return answer;
  } catch (error) {
    if (key) recordNotAccepted(deps, { key, stream }, 1);
    const recording = error instanceof Problem && recordRefused(deps, { req, key, stream }, error);
    if (recording) await waitABit(deadlineAtMs, recording);
    throw error;
  } finally {
    if (counted) await waitABit(deadlineAtMs, counted);
    if (sending) await waitABit(deadlineAtMs, sending);
  }
}

/** Waits for what counts a delivery, a little and never past its deadline. */
const waitABit = (deadlineAtMs: number, counting: Promise<void>): Promise<unknown> =>
  waitUntil(Math.min(deadlineAtMs, deadlineIn(COUNT_WITHIN_MS)), counting);

/** It does not say which part is wrong: whoever forges would learn from it. */
const invalidSignature = () =>
  new Problem("invalid-signature", "the signature does not hold", {}, { "www-authenticate": "Signature" });

/** Reads a body whole. Throws a 413, a 400, or a 503 if it did not come in time. */
async function readWhole(
  { bodyMaxBytes }: WebhookDeps,
  req: IncomingMessage,
  { source, deadlineAtMs }: Delivery,
  share: Share,
): Promise<Buffer> {
  const maxBytes = Math.min(source.maxBytes, bodyMaxBytes);
  checkDeclaredLength(req, maxBytes);
  try {
    return await readWholeBody(req, { maxBytes, deadlineAtMs, share });
  } catch (error) {
    if (error instanceof Problem && error.code === "request-timeout")
      throw tryAgain("webhook-late", "the body did not come in time; nothing was kept");
    throw error;
  }
}

function signedDelivery(
  { headers }: IncomingMessage,
  { kind }: WebhookSource,
  signed: Verified & Pick<SignedDelivery, "rawBody" | "receivedAt">,
): SignedDelivery {
  const { headerPrefix, signatureHeader } = webhookKinds[kind];
  const own = Object.entries(headers).filter(
    ([name, value]) => name.startsWith(headerPrefix) && name !== signatureHeader && typeof value === "string",
  );
  return { ...signed, headers: Object.fromEntries(own) as Record<string, string> };
}

async function answerToSigned(
  deps: WebhookDeps,
  delivery: Delivery,
  signed: SignedDelivery,
): Promise<Answer> {
  const { stream, source } = delivery;
  const read = readWebhookBody(stream, source, signed);
  const challenge = source.kind === "slack" ? challengeIn(read.json?.value) : undefined;
  if (challenge !== undefined) return { status: 200, body: { challenge } };
  const keeping = { accepting: deps.accepting, counts: deps.counts, bury: deps.webhooks.bury };
  const outcome = webhookEvent(stream, source, signed, read, deps.eventMaxBytes);
  if (outcome.kind === "ignored") return { status: 200, body: { ignored: true } };
  return outcome.kind === "failed"
    ? setAside(keeping, delivery, { ...signed, id: read.id }, outcome)
    : keep(keeping, delivery, outcome.envelope);
}

/** Slack's question when its URL is set (docs.slack.dev, "url_verification"). It is signed, too. */
function challengeIn(body: unknown): string | undefined {
  const { type, challenge } = (body ?? {}) as { type?: unknown; challenge?: unknown };
  return type === "url_verification" && typeof challenge === "string" ? challenge : undefined;
}
