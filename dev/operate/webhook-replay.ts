/**
 * `npm run webhook -- replay FILE`: tries a saved body. It runs the source's `toEvent`, checks the event against the schema and the
 * columns, and prints the row or the errors. No server is asked, and no signature is needed.
 */
import { readFileSync } from "node:fs";
import { rowOf } from "../../lib/schema/json-row.ts";
import type { Registry } from "../../lib/schema/registry.ts";
import type { Stream } from "../../lib/schema/stream.ts";
import type { WebhookSource } from "../../lib/schema/webhook.ts";
import { readWebhookBody, type SignedDelivery, webhookEvent } from "../../lib/schema/webhook-event.ts";
import { decodeDelivery } from "../../lib/schema/webhook-letter.ts";
import { CommandFailed, parseArguments, printable, runCommand, UsageError } from "./command-line.ts";

const usage = `Usage: npm run webhook -- replay FILE [options]

Tries a saved webhook on the stream's toEvent, schema and columns, and prints the row that would be stored, or the errors. FILE holds
the body as it came, or the envelope of a dead letter of a webhook. Nothing is stored, and Postgres is not asked.

  --stream S             the stream; needed if several declare webhooks
  --source X             the source; needed if the stream declares several
  --header "NAME: VALUE" a header that toEvent reads, such as "X-GitHub-Event: push"; may be repeated
  --event-max-bytes N    what EVENT_MAX_BYTES is set to (default 32768)
  --json                 print {"outcome","reason","errors","row"} as JSON

Exit status: 0 it would be stored, or ignored; 1 it would become a dead letter; 2 wrong usage.`;

const options = {
  stream: { type: "string" },
  source: { type: "string" },
  header: { type: "string", multiple: true },
  "event-max-bytes": { type: "string", default: "32768" },
  json: { type: "boolean" },
} as const;

/** Runs the command over these streams. */
export const runWebhook = (loadStreams: () => Promise<Registry>): Promise<void> =>
  runCommand({ name: "webhook", usage }, async (args) => {
    const { values, positionals } = parseArguments(args, options);
    const [action, file, ...rest] = positionals;
    if (action !== "replay" || file === undefined || rest.length > 0)
      throw new UsageError(`expected replay FILE, got ${positionals.join(" ") || "nothing"}`);
    const saved = readSaved(file);
    const headers = { ...saved.headers, ...headersOf(values.header ?? []) };
    const { stream, source } = sourceIn(await loadStreams(), values.stream, values.source ?? saved.source);
    const eventMaxBytes = Number(values["event-max-bytes"]);
    if (!Number.isInteger(eventMaxBytes))
      throw new UsageError("expected --event-max-bytes to be a whole number");
    const delivery = { ...saved, headers, signedId: headers["webhook-id"] };
    const result = replay(stream, source, delivery, eventMaxBytes);
    if (values.json) console.log(JSON.stringify(result));
    else print(stream, source, result);
    return result.outcome === "dead-letter" ? 1 : 0;
  });

interface Saved extends SignedDelivery {
  source: string | undefined;
}

/** Reads a body, or the envelope of a letter. */
function readSaved(file: string): Saved {
  let rawBody: Buffer;
  try {
    rawBody = readFileSync(file);
  } catch (error) {
    throw new CommandFailed(`${file} can't be read (${(error as NodeJS.ErrnoException).code}).`);
  }
  const letter = decodeDelivery(rawBody.toString().trim());
  if (letter) return { ...letter, source: letter.webhook };
  return { rawBody, headers: {}, receivedAt: new Date().toISOString(), source: undefined };
}

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

interface Result {
  outcome: "stored" | "ignored" | "dead-letter";
  reason?: string;
  errors?: readonly { path: string; message: string }[];
  row?: unknown;
}

function replay(
  stream: Stream,
  source: WebhookSource,
  delivery: SignedDelivery,
  eventMaxBytes: number,
): Result {
  const read = readWebhookBody(stream, source, delivery);
  const outcome = webhookEvent(stream, source, delivery, read, eventMaxBytes);
  if (outcome.kind === "ignored") return { outcome: "ignored" };
  if (outcome.kind === "failed")
    return { outcome: "dead-letter", reason: outcome.reason, errors: outcome.errors };
  const row = rowOf(stream, outcome.envelope);
  return "json" in row
    ? { outcome: "stored", row: JSON.parse(row.json) as unknown }
    : { outcome: "dead-letter", reason: row.reason, errors: [{ path: "", message: row.reason }] };
}

function print(stream: Stream, source: WebhookSource, { outcome, reason, errors = [], row }: Result): void {
  const name = `${stream.name}/${source.name}`;
  if (outcome === "ignored") console.log(`${name}: toEvent ignores it.`);
  else if (outcome === "stored") console.log(`${name}: would be stored as\n${JSON.stringify(row, null, 2)}`);
  else {
    console.log(`${name}: would become a dead letter, ${reason}:`);
    for (const { path, message } of errors)
      console.log(`  ${printable(path === "" ? message : `${path}: ${message}`)}`);
  }
}
