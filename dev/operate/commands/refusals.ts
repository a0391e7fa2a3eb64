/** `spillway refusals`: the last requests of a stream that were refused, and why. */
import { type RefusalsReport, refusalsReport } from "../../../lib/contract/usage.ts";
import { bodyOf } from "../ask-supervisor.ts";
import { action } from "../command.ts";
import { jsonOption, printTable } from "../command-line.ts";
import { findSupervisor, supervisorOptions } from "../find-supervisor.ts";

export default action({
  about: "Shows the last refusals of a stream, or of requests without a known stream or key.",
  words: "[STREAM]",
  wordsMax: 1,
  options: { ...jsonOption, ...supervisorOptions },
  notes: `The last hundred are kept. No value that somebody sent is among them. An instance writes them at most every ten seconds, beside
a later refusal, so the newest may be missing.`,
  async run({ values, words: [stream] }) {
    const query = stream === undefined ? "" : `?${new URLSearchParams({ stream })}`;
    const supervisor = await findSupervisor(values);
    const report = bodyOf(await supervisor.ask("GET", `/refusals${query}`), refusalsReport);
    if (values.json) console.log(JSON.stringify(report));
    else print(report);
    return 0;
  },
});

function print({ refusals }: RefusalsReport): void {
  if (refusals.length === 0) console.log("Nothing was refused lately.");
  else
    printTable(
      ["time", "key", "code", "path", "message", "request"],
      refusals.map((one) => [one.at, one.key, one.code, one.path, one.message, one.requestId]),
    );
}
