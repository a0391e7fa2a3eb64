/** The first steps that `npm start` prints: lines to paste, for the first stream that takes events. */
import { exampleOf } from "../../lib/schema/example.ts";
import type { Registry } from "../../lib/schema/registry.ts";
import { quotedNameOf } from "../../lib/store/stream-table.ts";
import type { Stack } from "../stack/stack.ts";

type Places = Pick<Stack, "ingestUrl" | "apiKey" | "databaseUrl">;

/**
 * Lines for a terminal: post an event, send lines, see the rows, ask the doctor. Without a stream: how to add one to
 * that folder.
 */
export function describeFirstSteps(
  streams: Registry,
  { ingestUrl, apiKey, databaseUrl }: Places,
  folder: string,
): string {
  const names = [...streams.values()].filter(({ retired }) => !retired).map(({ name }) => name);
  const stream = streams.get(names.sort()[0] ?? "");
  if (stream === undefined)
    return `No stream takes events: declare one in a file of ${folder} (README.md, "Add a stream"), then npm run db:generate
and npx spillway migrate.`;

  const example = exampleOf(stream);
  const event = shellQuote(example === undefined ? "{…}" : JSON.stringify(example));
  const headers = `-H 'Authorization: Bearer ${apiKey}' -H 'Content-Type: application/json'`;
  return `Try, in another terminal:

  curl -sS ${ingestUrl}/v1/${stream.name} ${headers} -d ${event}
  printf '%s\\n' ${event} | npx spillway send ${stream.name}
  psql ${databaseUrl} -c ${shellQuote(`select * from ${quotedNameOf(stream)}`)}
  npx spillway doctor`;
}

const shellQuote = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;
