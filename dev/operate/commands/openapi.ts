/** `spillway openapi`: writes the OpenAPI document of your streams, for generators of clients and for reading. No server is asked. */
import { writeFileSync } from "node:fs";
import { type Config, readConfig } from "../../../lib/config.ts";
import { documentOf, partOf } from "../../../lib/openapi/document.ts";
import { loadStreams, type Registry } from "../../../lib/schema/registry.ts";
import type { Stream } from "../../../lib/schema/stream.ts";
import { action } from "../command.ts";
import { CommandFailed, UsageError } from "../command-line.ts";
import { suggestionFor } from "../nearest.ts";

export default action({
  about: "Writes the OpenAPI 3.1 document of your streams to a file or to standard output.",
  words: "[FILE]",
  wordsMax: 1,
  options: {
    streams: {
      type: "string",
      value: "A,B",
      about: "only these streams, as a key that is limited to them sees it",
    },
    server: {
      type: "string",
      value: "URL",
      about: "where ingest is, for `servers` (default: where the document is)",
    },
  },
  notes:
    "It is what GET /v1/openapi.json answers. Retired streams are not in it. BODY_MAX_BYTES, EVENT_MAX_BYTES and EVENTS_MAX are read from the environment.",
  async run({ values, words: [file] }) {
    const chosen = choose(await loadStreams(), values.streams);
    const limits = limitsOf(process.env);
    const parts = chosen.map((stream) => partOf(stream, limits));
    const text = `${JSON.stringify(documentOf(parts, values.server), null, 2)}\n`;
    if (file === undefined) process.stdout.write(text);
    else write(file, text);
    return 0;
  },
});

function choose(streams: Registry, names: string | undefined): Stream[] {
  const open = [...streams.values()].filter(({ retired }) => !retired);
  if (names === undefined) return open;
  return names.split(",").map((given) => {
    const name = given.trim();
    const found = open.find((stream) => stream.name === name);
    if (found) return found;
    throw new UsageError(
      `there is no stream "${name}"${suggestionFor(
        name,
        open.map((stream) => stream.name),
      )}`,
    );
  });
}

/** The settings that the document names. The rest of the configuration is not needed, so it may be missing. */
function limitsOf({ BODY_MAX_BYTES, EVENT_MAX_BYTES, EVENTS_MAX }: NodeJS.ProcessEnv): Config {
  const nowhere = {
    UPSTASH_REDIS_REST_URL: "http://localhost",
    UPSTASH_REDIS_REST_TOKEN: "none",
    DATABASE_URL: "postgres://localhost/none",
  };
  return readConfig({ ...nowhere, BODY_MAX_BYTES, EVENT_MAX_BYTES, EVENTS_MAX });
}

function write(file: string, text: string): void {
  try {
    writeFileSync(file, text);
  } catch (error) {
    throw new CommandFailed(`${file} can't be written (${(error as NodeJS.ErrnoException).code}).`);
  }
}
