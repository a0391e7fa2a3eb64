/**
 * `spillway openapi`: writes the OpenAPI document of your streams, or of the supervisor, for generators of clients and for reading. No server
 * is asked.
 */
import { type Config, readConfig } from "../../../lib/config.ts";
import { documentOf, partOf } from "../../../lib/openapi/document.ts";
import { supervisorDocument } from "../../../lib/openapi/supervisor-document.ts";
import { loadChosenStreams, streamsOption } from "../chosen-streams.ts";
import { action } from "../command.ts";
import { UsageError } from "../command-line.ts";
import { writeOut } from "../write-out.ts";

export default action({
  about:
    "Writes the OpenAPI 3.1 document of your streams, or of the supervisor, to a file or to standard output.",
  words: "[FILE]",
  wordsMax: 1,
  options: {
    streams: streamsOption,
    server: {
      type: "string",
      value: "URL",
      about: "where ingest or the supervisor is, for `servers` (default: where the document is)",
    },
    supervisor: { type: "boolean", about: "the document of the supervisor's private interface" },
  },
  notes:
    "It is what GET /v1/openapi.json answers, and with --supervisor GET /openapi.json of the supervisor. Retired streams are not in it. BODY_MAX_BYTES, EVENT_MAX_BYTES and EVENTS_MAX are read from the environment.",
  async run({ values, words: [file] }) {
    if (values.supervisor) {
      if (values.streams !== undefined) throw new UsageError("--supervisor: its document has no streams");
      return write(file, supervisorDocument(values.server));
    }
    const chosen = await loadChosenStreams(values.streams);
    const limits = limitsOf(process.env);
    const parts = chosen.map((stream) => partOf(stream, limits));
    return write(file, documentOf(parts, values.server));
  },
});

function write(file: string | undefined, document: object): number {
  writeOut(file, `${JSON.stringify(document, null, 2)}\n`);
  return 0;
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
