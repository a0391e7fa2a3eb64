/** Finds what can't work in a stream's webhooks, each as a sentence. Types find most of it in the editor; this finds the rest at start. */
import {
  kindOf,
  WEBHOOK_MAX_BYTES,
  WEBHOOK_WITHIN_MAX_MS,
  type Webhook,
  type Webhooks,
  webhookKinds,
} from "./webhook.ts";

const KINDS = Object.keys(webhookKinds).join(", ");
/** The shortest time in which a delivery can be expected to be buffered, in milliseconds. */
const WITHIN_MIN_MS = 100;

/** Yields what is wrong; the first is the one to mend. */
export function* webhookErrors(webhooks: Webhooks<unknown> = {}): Generator<string> {
  for (const [name, webhook] of Object.entries(webhooks))
    for (const error of errorsOfSource(name, webhook)) yield `webhook "${name}": ${error}`;
}

function* errorsOfSource(name: string, webhook: Webhook<unknown>): Generator<string> {
  if (!/^[a-z][a-z0-9_-]{0,62}$/.test(name))
    yield "expected a name that begins with a letter and has only a-z, 0-9, _ and -, at most 63, because it is part of a URL";
  yield* errorsOfKind(name, webhook);
  yield* errorsOfSecret(webhook.secretEnv);
  if (typeof webhook.toEvent !== "function")
    yield "has no toEvent: expected a function that turns a delivery into an event, or into null";
  else if (webhook.toEvent.constructor.name === "AsyncFunction")
    yield "its toEvent is async: expected a function that returns the event itself, because its sender waits";
  const { maxBytes = 1, withinMs = WITHIN_MIN_MS } = webhook;
  if (!isWhole(maxBytes, 1, WEBHOOK_MAX_BYTES))
    yield `expected maxBytes to be a whole number from 1 to ${WEBHOOK_MAX_BYTES}, got ${maxBytes}`;
  if (!isWhole(withinMs, WITHIN_MIN_MS, WEBHOOK_WITHIN_MAX_MS))
    yield `expected withinMs to be a whole number from ${WITHIN_MIN_MS} to ${WEBHOOK_WITHIN_MAX_MS}, got ${withinMs}`;
}

function* errorsOfKind(name: string, webhook: Webhook<unknown>): Generator<string> {
  if (kindOf(name, webhook) !== undefined) return;
  if (webhook.kind === undefined)
    yield `names no kind, and its own name is none: expected kind to be one of ${KINDS}`;
  else yield `expected kind to be one of ${KINDS}, got ${JSON.stringify(webhook.kind)}`;
}

function* errorsOfSecret(secretEnv: unknown): Generator<string> {
  if (typeof secretEnv !== "string" || !/^[A-Z][A-Z0-9_]{0,127}$/.test(secretEnv))
    yield `expected secretEnv to name a variable of the environment, in A-Z, 0-9 and _, got ${JSON.stringify(secretEnv)}: never the secret itself`;
}

const isWhole = (value: unknown, min: number, max: number): boolean =>
  Number.isInteger(value) && (value as number) >= min && (value as number) <= max;
