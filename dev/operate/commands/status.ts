/** `spillway status`: shows how many events wait in each partition, how old they are, and why they do not drain. */
import { describeSeconds } from "../../../lib/contract/length-of-time.ts";
import { type StatusReport, statusReport } from "../../../lib/contract/status.ts";
import { sayPaused } from "../../../lib/operate/pause-report.ts";
import { bodyOf } from "../ask-supervisor.ts";
import { action } from "../command.ts";
import { countOf, jsonOption, printable, printTable } from "../command-line.ts";
import { findSupervisor, supervisorOptions } from "../find-supervisor.ts";

type StreamStatus = StatusReport["streams"][number];
type PartitionStatus = StreamStatus["partitions"][number];

/** What becomes of data of a version. */
const FATES: Record<NonNullable<StreamStatus["versions"]>["found"][number]["state"], string> = {
  today: "today's",
  earlier: "an earlier one, declared in versions",
  dropped: "dropped: becomes dead letters, and these are not redriven",
  newer: "of a newer release: waits for that one, and its letters are not redriven",
};

export default action({
  about: "Shows what waits, how old it is, and why a partition is not drained.",
  options: { ...jsonOption, ...supervisorOptions },
  async run({ values }) {
    const supervisor = await findSupervisor(values);
    const answer = await supervisor.ask("GET", "/status");
    const report = bodyOf(answer, statusReport);
    if (values.json) console.log(JSON.stringify(report));
    else print(report);
    return 0;
  },
});

function print({ streams }: StatusReport): void {
  printTable(
    ["stream", "pending", "sealed", "claimed", "oldest", "held letters", "dead letters"],
    streams.map((one) => [
      one.stream,
      one.pending,
      one.sealed,
      one.claimed,
      one.oldestAgeSeconds === null ? null : describeSeconds(one.oldestAgeSeconds),
      one.heldLetters,
      one.deadLetters,
    ]),
  );
  const busy = streams.flatMap((one) => one.partitions.map((p) => ({ ...one, p })));
  console.log(busy.length === 0 ? "\nThe buffer is empty." : "");
  if (busy.length > 0)
    printTable(
      ["partition", "depth", "why it is not drained"],
      busy.map((one) => [`${one.stream}/${one.p.partition}`, one.p.depth, whyNotDrained(one.p, one)]),
    );
  printPauses(streams);
  printVersions(streams);
  printWebhooks(streams);
  for (const { stream, deadLetters } of streams)
    if (deadLetters)
      console.log(`\n${countOf(deadLetters, "dead letter")}: spillway dead-letters list --stream ${stream}`);
  for (const one of streams)
    if (one.heldLetters)
      console.log(
        `\n${countOf(one.heldLetters, "letter")} of ${one.stream} held, the oldest for ${describeSeconds(one.heldLettersForSeconds ?? 0)}, tried again by themselves. Most for: ${one.heldLettersReason}`,
      );
  for (const { stream, tableDifferences } of streams)
    if (tableDifferences?.length)
      console.log(
        `\nThe table of ${stream} is not as the stream declares it: ${tableDifferences.join("; ")}.`,
      );
  for (const { stream, lettersNotCompared } of streams)
    if (lettersNotCompared)
      console.log(
        `\nLetters of ${stream} were not compared with its table, so some of them may be stored: ${lettersNotCompared}.`,
      );
  const blind = streams.filter(({ deadLetters }) => deadLetters === null).map(({ stream }) => stream);
  if (blind.length > 0)
    console.log(
      `\nPostgres does not answer the supervisor, or refuses: letters were not counted of ${blind.join(", ")}.`,
    );
}

/** Prints until when streams are paused, and by whom. */
function printPauses(streams: readonly StreamStatus[]): void {
  for (const { stream, paused } of streams)
    if (paused) console.log(`\n${printable(`${stream} ${sayPaused(paused)}`)}.`);
}

/** Prints which versions of the data wait, of the streams that have more than one. */
function printVersions(streams: readonly StreamStatus[]): void {
  const all = streams.flatMap(({ stream, versions }) => (versions ? [{ stream, ...versions }] : []));
  if (all.length === 0) return;
  console.log("");
  printTable(
    ["version", "in the buffer", "letters", ""],
    all.flatMap(({ stream, found }) =>
      found.map(({ v, state, buffered, letters }) => [`${stream} v${v}`, buffered, letters, FATES[state]]),
    ),
  );
  for (const { stream, waiting, lookedAt } of all)
    if (lookedAt < waiting)
      console.log(
        `\nIn the buffer of ${stream}, ${lookedAt.toLocaleString("en-US")} of ${waiting.toLocaleString("en-US")} events were looked at.`,
      );
}

/** Prints how many signatures held and failed, of the streams that declare webhooks. */
function printWebhooks(streams: readonly StreamStatus[]): void {
  const all = streams.flatMap(({ stream, webhooks = [] }) => webhooks.map((one) => ({ stream, ...one })));
  if (all.length === 0) return;
  console.log("");
  printTable(
    ["webhook", "good", "last", "signature failed", "last"],
    all.map((one) => [`${one.stream}/${one.source}`, one.good, one.lastGoodAt, one.failed, one.lastFailedAt]),
  );
}

/** Everything that is known of a partition, the most telling first. */
function whyNotDrained(
  p: PartitionStatus,
  { isPaused, paused }: Pick<StreamStatus, "isPaused" | "paused">,
): string {
  const isForNow = paused !== null && !paused.isInEnvironment;
  const code =
    p.lastSqlstate !== null && !p.lastReason?.includes(p.lastSqlstate) ? ` (${p.lastSqlstate})` : "";
  const why = [
    isPaused && (isForNow ? "the stream is paused" : "the stream is in DRAIN_PAUSED"),
    p.lastReason !== null && `the last try ended with: ${p.lastReason}${code}`,
    p.crashes > 0 && `${countOf(p.crashes, "drain call")} died with the batch in hand`,
    p.heldForSeconds !== null && `a drain call has held it for ${describeSeconds(p.heldForSeconds)}`,
    p.batchAgeSeconds !== null && `its batch was first claimed ${describeSeconds(p.batchAgeSeconds)} ago`,
  ].filter((reason) => typeof reason === "string");
  return why.length > 0 ? why.join("; ") : "nothing in its way: the next tick takes it";
}
