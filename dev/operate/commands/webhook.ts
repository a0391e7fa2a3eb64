/** `spillway webhook`: what people do with webhooks. No server is asked. */
import { readFileSync } from "node:fs";
import { action, type Command } from "../command.ts";
import { CommandFailed, jsonOption, printable, UsageError } from "../command-line.ts";
import { type Replayed, replay } from "../webhook-replay.ts";
import { loadYourStreams } from "../yours.ts";

/** What EVENT_MAX_BYTES is if nobody sets it. */
const EVENT_MAX_BYTES = "32768";

const webhook: Command = {
  about: "Tries saved webhooks.",
  actions: {
    replay: action({
      about: "tries toEvent, schema and columns on a saved body, and prints the row or the errors",
      words: "FILE",
      wordsMax: 1,
      options: {
        stream: { type: "string", value: "NAME", about: "the stream, if several declare webhooks" },
        source: { type: "string", value: "NAME", about: "the source, if the stream declares several" },
        header: {
          type: "string",
          multiple: true,
          value: "TEXT",
          about: 'a header that toEvent reads, such as "X-GitHub-Event: push"; may be repeated',
        },
        ...jsonOption,
      },
      notes: `FILE holds the body as it came, or what dead-letters show --json prints of a webhook's letter, which has source and headers.
Nothing is stored, and Postgres is not asked. EVENT_MAX_BYTES is read from the environment.
It exits with 1 if the body would become a dead letter.`,
      async run({ words: [file], values }) {
        if (file === undefined) throw new UsageError("expected FILE, which holds a webhook's body");
        const { stream, source, header: headers = [] } = values;
        const replayed = replay(await loadYourStreams(), read(file), {
          ...{ stream, source, headers },
          eventMaxBytes: Number(process.env.EVENT_MAX_BYTES?.trim() || EVENT_MAX_BYTES),
        });
        if (values.json) console.log(JSON.stringify(replayed));
        else print(replayed);
        return replayed.outcome === "dead-letter" ? 1 : 0;
      },
    }),
  },
};

export default webhook;

function read(file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    throw new CommandFailed(`${file} can't be read (${(error as NodeJS.ErrnoException).code}).`);
  }
}

function print(replayed: Replayed): void {
  const name = `${replayed.stream}/${replayed.source}`;
  if (replayed.outcome === "ignored") console.log(`${name}: toEvent ignores it.`);
  else if (replayed.outcome === "stored")
    console.log(`${name}: would be stored as\n${JSON.stringify(replayed.row, null, 2)}`);
  else {
    console.log(`${name}: would become a dead letter, ${replayed.reason}:`);
    for (const { path, message } of replayed.errors)
      console.log(`  ${printable(path === "" ? message : `${path}: ${message}`)}`);
  }
}
