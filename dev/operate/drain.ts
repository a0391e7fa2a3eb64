/** `npm run drain`: runs one tick now, and prints its result as a table. */
import type { DrainOutcome, DrainReport, StreamReport } from "../../lib/drain/drain-report.ts";
import { parseArguments, printTable, runCommand, UsageError } from "./command-line.ts";
import { askSupervisor, refusalOf } from "./find-servers.ts";

const usage = `Usage: npm run drain -- [STREAM] [--wait] [--json]

Asks the supervisor to drain STREAM, or every stream, once, as the scheduler's tick does.

  --wait   keep trying partitions that another drain call holds, until they are free or the deadline comes
  --json   print the supervisor's answer as it is

The supervisor is SUPERVISOR_URL (with SUPERVISOR_ID_TOKEN where it asks for one), or that of a running npm start.
Exit status: 0 drained; 1 not all of it could be (unavailable, misconfigured), or no supervisor; 2 wrong usage.`;

/** A drain call may be given an hour (DRAIN_DEADLINE_MS); fetch itself waits five minutes for an answer. */
const TIMEOUT_MS = 300_000;

/** What an outcome means for whoever reads the table. */
const MEANING: Record<DrainOutcome, string> = {
  empty: "",
  short: "what is left makes no full batch; the next tick takes it",
  deadline: "the time of one drain call was up; the next one goes on",
  held: "another drain call holds a partition, or the stream is in DRAIN_PAUSED; npm run status says which",
  unavailable: "Redis or Postgres did not answer; everything is kept",
  misconfigured: "Postgres refused the statement itself; everything is kept; npm run status says why",
};

await runCommand({ name: "drain", usage }, async (args) => {
  const { values, positionals } = parseArguments(args, {
    wait: { type: "boolean" },
    json: { type: "boolean" },
  } as const);
  const [stream, ...rest] = positionals;
  if (rest.length > 0) throw new UsageError(`expected at most one stream, got ${positionals.join(" ")}`);
  const path = stream === undefined ? "/drain" : `/drain/${encodeURIComponent(stream)}`;
  const answer = await askSupervisor("POST", `${path}${values.wait ? "?wait=1" : ""}`, TIMEOUT_MS);
  const report = answer.body as DrainReport | undefined;
  if (!Array.isArray(report?.streams)) throw refusalOf(answer);
  if (values.json) console.log(JSON.stringify(report));
  else print(report);
  return answer.status === 200 ? 0 : 1;
});

function print({ streams, durationMs }: DrainReport): void {
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
  const row = (one: StreamReport) =>
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
    console.log("npm run dead-letters -- list says what died or is held, and why.");
}
