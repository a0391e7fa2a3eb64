/** `spillway drain`: runs one tick now, and prints its result as a table. */
import {
  type DrainBody,
  type DrainedStream,
  type DrainOutcome,
  drainBody,
} from "../../../lib/contract/drain.ts";
import { bodyOf } from "../ask-supervisor.ts";
import { action } from "../command.ts";
import { jsonOption, printTable } from "../command-line.ts";
import { findSupervisor, supervisorOptions } from "../find-supervisor.ts";

/** A drain call may be given an hour (DRAIN_DEADLINE_MS); fetch itself waits five minutes for an answer. */
const TIMEOUT_MS = 300_000;

/** What an outcome means for whoever reads the table. */
const MEANING: Record<DrainOutcome, string> = {
  empty: "",
  short: "what is left makes no full batch; the next tick takes it",
  deadline: "the time of one drain call was up; the next one goes on",
  held: "another drain call holds a partition, or the stream is paused; spillway status says which",
  unavailable: "Redis or Postgres did not answer; everything is kept",
  misconfigured: "Postgres refused the statement itself; everything is kept; spillway status says why",
};

export default action({
  about: "Drains a stream, or all, once, as the scheduler's tick does.",
  words: "[STREAM]",
  wordsMax: 1,
  options: {
    wait: {
      type: "boolean",
      about:
        "keep trying partitions that another drain call holds, until they are free or the deadline comes",
    },
    ...jsonOption,
    ...supervisorOptions,
  },
  async run({ values, words: [stream] }) {
    const path = stream === undefined ? "/drain" : `/drain/${encodeURIComponent(stream)}`;
    const supervisor = await findSupervisor(values);
    const answer = await supervisor.ask("POST", `${path}${values.wait ? "?wait=1" : ""}`, {
      timeoutMs: TIMEOUT_MS,
    });
    const hasReport = drainBody.safeParse(answer.body).success; // a 503 has one, too
    const report = bodyOf(answer, drainBody, hasReport || answer.status === 200);
    if (values.json) console.log(JSON.stringify(report));
    else print(report);
    return answer.status === 200 ? 0 : 1;
  },
});

function print({ streams, durationMs }: DrainBody): void {
  const headings = [
    "stream",
    "outcome",
    "batches",
    "stored",
    "duplicates",
    "differing",
    "superseded",
    "held",
    "dead",
    "remaining",
  ];
  const row = (one: DrainedStream) =>
    [
      one.stream,
      one.outcome,
      one.batches,
      one.stored,
      one.duplicates,
      one.differing,
      one.superseded,
      one.held,
      one.dead,
      one.remaining,
    ] as const;
  printTable(headings, streams.map(row));
  console.log(`\nin ${Math.round(durationMs)} ms`);
  for (const { stream, outcome } of streams)
    if (MEANING[outcome]) console.log(`${stream}: ${MEANING[outcome]}.`);
  if (streams.some(({ dead, held }) => dead > 0 || held > 0))
    console.log("spillway dead-letters list says what died or is held, and why.");
}
