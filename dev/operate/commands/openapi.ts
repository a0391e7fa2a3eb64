/** `spillway openapi`: writes the OpenAPI document of your streams, for generators of clients and for reading. No server is asked. */
import { type Config, readConfig } from "../../../lib/config.ts";
import { documentOf, partOf } from "../../../lib/openapi/document.ts";
import { loadChosenStreams, streamsOption } from "../chosen-streams.ts";
import { action } from "../command.ts";
import { writeOut } from "../write-out.ts";

export default action({
  about: "Writes the OpenAPI 3.1 document of your streams to a file or to standard output.",
  words: "[FILE]",
  wordsMax: 1,
  options: {
    streams: streamsOption,
    server: {
      type: "string",
      value: "URL",
      about: "where ingest is, for `servers` (default: where the document is)",
    },
  },
  notes:
    "It is what GET /v1/openapi.json answers. Retired streams are not in it. BODY_MAX_BYTES, EVENT_MAX_BYTES and EVENTS_MAX are read from the environment.",
  async run({ values, words: [file] }) {
    const chosen = await loadChosenStreams(values.streams);
    const limits = limitsOf(process.env);
    const parts = chosen.map((stream) => partOf(stream, limits));
    writeOut(file, `${JSON.stringify(documentOf(parts, values.server), null, 2)}\n`);
    return 0;
  },
});

/** The settings that the document names. The rest of the configuration is not needed, so it may be missing. */
function limitsOf({ BODY_MAX_BYTES, EVENT_MAX_BYTES, EVENTS_MAX }: NodeJS.ProcessEnv): Config {
  const nowhere = {
    UPSTASH_REDIS_REST_URL: "http://localhost",
    UPSTASH_REDIS_REST_TOKEN: "none",
    DATABASE_URL: "postgres://localhost/none",
  };
  return readConfig({ ...nowhere, BODY_MAX_BYTES, EVENT_MAX_BYTES, EVENTS_MAX });
}
