/** Tries a saved webhook: finds the source that is meant, and makes of the body what ingest would make of it. No signature is needed. */
import type { InputError } from "../../lib/schema/input-error.ts";
import { rowOf } from "../../lib/schema/json-row.ts";
import type { Registry } from "../../lib/schema/registry.ts";
import type { Stream } from "../../lib/schema/stream.ts";
import type { WebhookSource } from "../../lib/schema/webhook.ts";
import { readWebhookBody, type SignedDelivery, webhookEvent } from "../../lib/schema/webhook-event.ts";
import { decodeDelivery, type UnmadeDelivery } from "../../lib/schema/webhook-letter.ts";
import { UsageError } from "./command-line.ts";

export interface ReplayOptions {
  stream: string | undefined;
  source: string | undefined;
  /** Each as `NAME: VALUE`. */
  headers: readonly string[];
  eventMaxBytes: number;
}

/** What would become of the delivery. */
export type Replayed = { stream: string; source: string } & (
  | { outcome: "stored"; row: unknown }
  | { outcome: "ignored" }
  | { outcome: "dead-letter"; reason: string; errors: readonly InputError[] }
);

/** Tries a body, or a webhook's dead letter: its envelope, or what `dead-letters show --json` prints. Throws a UsageError if no one source is meant. */
export function replay(streams: Registry, saved: Buffer, options: ReplayOptions): Replayed {
  const letter = letterIn(saved.toString().trim());
  const { stream, source } = sourceIn(streams, options.stream, options.source ?? letter?.webhook);
  const headers = { ...letter?.headers, ...headersOf(options.headers) };
  const delivery: SignedDelivery = {
    rawBody: letter?.rawBody ?? saved,
    receivedAt: letter?.receivedAt ?? new Date().toISOString(),
    headers,
    signedId: headers["webhook-id"],
  };
  const named = { stream: stream.name, source: source.name };
  return { ...named, ...outcomeOf(stream, source, delivery, options.eventMaxBytes) };
}

function letterIn(text: string): UnmadeDelivery | undefined {
  const delivery = decodeDelivery(text);
  if (delivery || !text.includes('"envelope"')) return delivery;
  try {
    const { envelope } = JSON.parse(text) as { envelope?: unknown };
    return typeof envelope === "string" ? decodeDelivery(envelope) : undefined;
  } catch {
    return undefined;
  }
}

function outcomeOf(stream: Stream, source: WebhookSource, delivery: SignedDelivery, eventMaxBytes: number) {
  const read = readWebhookBody(stream, source, delivery);
  const made = webhookEvent(stream, source, delivery, read, eventMaxBytes);
  if (made.kind === "ignored") return { outcome: "ignored" } as const;
  if (made.kind === "failed") return deadLetter(made.reason, made.errors);
  const row = rowOf(stream, made.envelope);
  if ("reason" in row) return deadLetter(row.reason, [{ path: "", message: row.reason }]);
  return { outcome: "stored", row: JSON.parse(row.json) as unknown } as const;
}

const deadLetter = (reason: string, errors: readonly InputError[]) =>
  ({ outcome: "dead-letter", reason, errors }) as const;

function headersOf(texts: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    texts.map((text) => {
      const [, name, value] = /^([^:\s]+):\s*(.*)$/.exec(text) ?? [];
      if (name === undefined || value === undefined)
        throw new UsageError(`expected --header "NAME: VALUE", got ${JSON.stringify(text)}`);
      return [name.toLowerCase(), value];
    }),
  );
}

/** Finds the one source that is meant. */
function sourceIn(
  streams: Registry,
  streamName: string | undefined,
  sourceName: string | undefined,
): { stream: Stream; source: WebhookSource } {
  const found = [...streams.values()]
    .filter(({ name }) => streamName === undefined || name === streamName)
    .flatMap((stream) => [...stream.webhooks.values()].map((source) => ({ stream, source })))
    .filter(({ source }) => sourceName === undefined || source.name === sourceName);
  const [one, ...others] = found;
  if (one === undefined) throw new UsageError("no stream declares such a webhook source");
  if (others.length > 0) {
    const names = found.map(({ stream, source }) => `--stream ${stream.name} --source ${source.name}`);
    throw new UsageError(`expected one of: ${names.join(", ")}`);
  }
  return one;
}
