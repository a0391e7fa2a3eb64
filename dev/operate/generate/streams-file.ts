/** Writes the file of a client's types: `Streams`, with an entry for each stream. It imports nothing, so it can be copied into any repository. */
import { eventSchemasOf } from "../../../lib/schema/json-schema.ts";
import type { Stream } from "../../../lib/schema/stream.ts";
import { nameOfPart, typeOf } from "./type-of.ts";

const HEAD = `/**
 * The events of each stream, as they are sent. Written by \`spillway generate\`: write it again when a stream changes.
 *
 *   const spillway = createClient<Streams>({ url, key });
 */
`;

/** Returns TypeScript, which is also a declaration file. */
export function streamsFile(streams: readonly Stream[]): string {
  const schemas = streams.map((stream) => ({ name: stream.name, ...eventSchemasOf(stream, "") }));
  const entries = schemas.map(({ name, event }) => `  ${name}: ${typeOf(event, "  ")};\n`);
  const parts = schemas.flatMap(({ parts }) => [...parts]);
  const types = parts.map(([name, json]) => `\ntype ${nameOfPart(name)} = ${typeOf(json)};\n`);
  return `${HEAD}export interface Streams {\n${entries.join("")}}\n${types.join("")}`;
}
