/** `spillway surge`: offers a surge to direct inserts and to Spillway on the servers of a running `spillway start`, and prints it as a table. */
import type { SurgeEnded } from "../../../lib/contract/surge.ts";
import { action } from "../command.ts";
import { CommandFailed, jsonOption, UsageError, wholeNumber } from "../command-line.ts";
import { readStack } from "../local-stack.ts";
import { SurgeTable } from "../surge-table.ts";

export default action({
  about: "Simulates a traffic surge on this machine: direct inserts beside Spillway.",
  options: {
    rate: { type: "string", value: "N", about: "requests a second, 50 to 5000, each with one event (2000)" },
    seconds: { type: "string", value: "N", about: "how long each target gets them, 5 to 60 (20)" },
    mode: { type: "string", value: "MODE", about: "direct, buffer, or both in turns (both)" },
    prod: { type: "boolean", about: "refused: a surge is for this machine only" },
    ...jsonOption,
  },
  notes:
    "It needs a running spillway start, whose Redis and Postgres it uses, in databases of its own that are gone afterwards. First it\nmeasures what this machine can do, for 20 seconds at most. Ctrl-C stops it. --json prints its lines (lib/contract/surge.ts).",
  async run({ values }) {
    if (values.prod)
      throw new UsageError(
        "--prod: a surge is for this machine only, because it overloads Postgres on purpose",
      );
    const request = {
      rate: wholeNumber("--rate", values.rate, 2000),
      seconds: wholeNumber("--seconds", values.seconds, 20),
      mode: values.mode ?? "both",
    };
    return runSurge(request, values.json ?? false);
  },
});

async function runSurge(request: object, isJson: boolean): Promise<number> {
  const { createSurge } = await import("../../surge/surge.ts");
  const { SurgeRefused, readSurgeRequest } = await import("../../surge/surge-request.ts");
  const explain = (error: unknown) => {
    if (!(error instanceof SurgeRefused)) return error;
    const message = error.message.replace(/\.$/, "");
    return error.status === 400 ? new UsageError(message) : new CommandFailed(error.message);
  };
  try {
    readSurgeRequest(request); // before the stack is looked for
    const { databaseUrl = "", redisUrl = "" } = readStack("nothing else");
    return await follow(createSurge({ databaseUrl, redisUrl }), request, isJson);
  } catch (error) {
    throw explain(error);
  }
}

type Surge = ReturnType<typeof import("../../surge/surge.ts").createSurge>;

/** Runs it to its end, and returns the exit status: 1 if it was stopped or failed, or if an accepted event is nowhere. */
async function follow(surge: Surge, request: object, isJson: boolean): Promise<number> {
  const table = new SurgeTable((text) => console.log(text));
  const seen: { end?: SurgeEnded["why"]; isKept: boolean } = { isKept: true };
  surge.open((line) => {
    if (line.kind === "conserved") seen.isKept &&= line.isKept;
    if (line.kind === "ended") seen.end = line.why;
    if (isJson) console.log(JSON.stringify(line));
    else table.print(line);
  });
  for (const name of ["SIGINT", "SIGTERM"] as const) process.once(name, () => void surge.stop());
  await surge.start(request).catch((error: NodeJS.ErrnoException) => {
    if (error.name === "SurgeRefused") throw error;
    throw new CommandFailed(
      `The servers of .local/stack.json do not answer (${error.code ?? error.name}): is npx spillway start running?`,
    );
  });
  await surge.ended();
  return seen.end === "finished" && seen.isKept ? 0 : 1;
}
