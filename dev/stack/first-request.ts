/** The first steps that `npm start` prints: lines to paste, for the first stream that takes events. */
import { exampleOf } from "../../lib/schema/example.ts";
import type { Registry } from "../../lib/schema/registry.ts";
import type { Stack } from "./stack.ts";

type Places = Pick<Stack, "ingestUrl" | "apiKey" | "databaseUrl">;

/** Lines for a terminal: post an event, see its row. Without a stream: how to add one. */
export function describeFirstRequest(streams: Registry, places: Places, drainEvery: string): string {
  const names = [...streams.values()].filter(({ retired }) => !retired).map(({ name }) => name);
  const stream = streams.get(names.sort()[0] ?? "");
  if (stream === undefined)
    return `No stream takes events: declare one in a file of lib/streams/ (README.md, "Add a stream"), run npm run db:generate, and start again.`;

  const event = exampleOf(stream);
  const body = event === undefined ? "{…}" : JSON.stringify(event);
  return `Send an event:

  curl -sS -X POST ${places.ingestUrl}/v1/${stream.name} -H 'Authorization: Bearer ${places.apiKey}' -H 'Content-Type: application/json' -d ${shellQuote(body)}

See its row, which the next drain stores (every ${drainEvery}, or at once by npx spillway drain):

  psql ${places.databaseUrl} -c 'select * from "${stream.name}"'`;
}

const shellQuote = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;
