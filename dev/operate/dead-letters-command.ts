/** The command of `npm run dead-letters`: shows dead letters, redrives them, or gives them up. */
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { createBuffer } from "../../lib/buffer/buffer.ts";
import { connectRedis } from "../../lib/buffer/redis-client.ts";
import { type RedriveReport, redrive } from "../../lib/operate/redrive.ts";
import { tryRedrive } from "../../lib/operate/redrive-trial.ts";
import { isUuid } from "../../lib/schema/event-ids.ts";
import type { Registry } from "../../lib/schema/registry.ts";
import { connect } from "../../lib/store/database.ts";
import {
  type Cursor,
  createDeadLetterStore,
  type DeadLetter,
  type DeadLetterStore,
  type LetterFilter,
} from "../../lib/store/dead-letter-store.ts";
import type { NotCompared } from "../../lib/store/letter-comparison.ts";
import { createStore } from "../../lib/store/store.ts";
import {
  CommandFailed,
  countOf,
  describeSeconds,
  parseArguments,
  printable,
  printTable,
  runCommand,
  UsageError,
} from "./command-line.ts";
import { findServers } from "./find-servers.ts";
import { printTrial } from "./redrive-trial-report.ts";

const usage = `Usage: npm run dead-letters -- COMMAND [FILTERS] [OPTIONS]

  list      what is dead or held, grouped by stream, SQLSTATE and reason; --each: letter by letter
  show ID   one letter whole. It prints the event itself, which may be personal data
  redrive   push the events into the buffer again, under their ids: --rate N events/s (default 100);
            --dry-run tries the inserts, rolls them back, and says which letters would die again
  purge     delete the letters: their events are lost, on purpose. --dry-run to count them, --yes to do it

A letter is dead if its event is proven to be at fault. It is held if nothing proves that; then it is tried again by itself.

Filters; a repeatable one may be given several times and any of its values matches:
  --stream NAME      repeatable
  --sqlstate CODE    repeatable; "none" for those that Postgres did not refuse
  --id UUID          repeatable
  --state STATE      dead or held; without it both, but purge takes dead ones only
  --since WHEN       died at or after this: RFC 3339 (2026-11-21T09:30:00Z), or ago: 90s, 30m, 2h, 3d
  --until WHEN       died before this
  --limit N          at most N letters, those that died first; for list without --each, N groups (default 100)
  --all              also letters that wait for nobody: redriven, or stored since
  --all-letters      for purge without a filter

Servers: UPSTASH_REDIS_REST_URL, UPSTASH_REDIS_REST_TOKEN and DATABASE_URL (NEON_HTTP_URL) in the environment, or
those of a running npm start.
Exit status: 0 done; 1 not done, or not all of it; 2 wrong usage.`;

const options = {
  stream: { type: "string", multiple: true },
  sqlstate: { type: "string", multiple: true },
  id: { type: "string", multiple: true },
  state: { type: "string" },
  since: { type: "string" },
  until: { type: "string" },
  limit: { type: "string" },
  all: { type: "boolean" },
  each: { type: "boolean" },
  rate: { type: "string" },
  "dry-run": { type: "boolean" },
  "all-letters": { type: "boolean" },
  yes: { type: "boolean" },
} as const;

type Values = ReturnType<typeof parseArguments<typeof options>>["values"];

/** What a command works with, once its words were understood. */
interface CommandOptions {
  filter: LetterFilter;
  limit: number | undefined;
  rate: number;
  values: Values;
  loadStreams(): Promise<Registry>;
}

/** How long a statement may take, in milliseconds: nobody holds a lease here. */
const TIMEOUT_MS = 30_000;
const PUSH_TIMEOUT_MS = 10_000;
const LIST_LIMIT = 100;

/** Options that only some commands know. */
const ONLY_FOR: Record<string, string[]> = {
  each: ["list"],
  rate: ["redrive"],
  "dry-run": ["redrive", "purge"],
  "all-letters": ["purge"],
  yes: ["purge"],
};

const commands: Record<string, (request: CommandOptions) => Promise<number>> = {
  list: (request) => (request.values.each ? listEach(request) : listGroups(request)),
  show,
  redrive: redriveLetters,
  purge,
};

function understand(
  values: Values,
  ids: string[],
  loadStreams: CommandOptions["loadStreams"],
): CommandOptions {
  const filter: LetterFilter = {
    streams: values.stream ?? [],
    sqlstates: (values.sqlstate ?? []).map(sqlstateOf),
    ids: [...(values.id ?? []), ...ids].map(idOf),
    since: values.since && momentOf("--since", values.since),
    until: values.until && momentOf("--until", values.until),
    state: values.state === undefined ? undefined : stateFrom(values.state),
    isAll: values.all ?? false,
  };
  return {
    filter,
    limit: values.limit === undefined ? undefined : wholeNumber("--limit", values.limit),
    rate: values.rate === undefined ? 100 : wholeNumber("--rate", values.rate),
    values,
    loadStreams,
  };
}

function sqlstateOf(text: string): string | null {
  if (text === "none") return null;
  if (/^[0-9A-Z]{5}$/.test(text.toUpperCase())) return text.toUpperCase();
  throw new UsageError(`--sqlstate: expected five digits or letters, or none, got "${text}"`);
}

function stateFrom(text: string): "dead" | "held" {
  if (text === "dead" || text === "held") return text;
  throw new UsageError(`--state: expected dead or held, got "${text}"`);
}

function idOf(text: string): string {
  if (isUuid(text)) return text.toLowerCase();
  throw new UsageError(`expected the id as a UUID, as ingest answered it, got "${text}"`);
}

const UNIT_MS: Record<string, number> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

function momentOf(option: string, text: string): string {
  const [, amount, unit = ""] = /^(\d{1,6})([smhd])$/.exec(text) ?? [];
  if (amount !== undefined) return new Date(Date.now() - Number(amount) * (UNIT_MS[unit] ?? 0)).toISOString();
  if (z.iso.datetime({ offset: true }).safeParse(text).success) return text;
  throw new UsageError(`${option}: expected 2026-11-21T09:30:00Z, or 90s, 30m, 2h, 3d ago, got "${text}"`);
}

function wholeNumber(option: string, text: string): number {
  const number = Number(text);
  if (/^\d+$/.test(text) && number >= 1 && number <= 10_000_000) return number;
  throw new UsageError(`${option}: expected a whole number from 1, got "${text}"`);
}

/** Connects to what the environment or the running stack says, and tells where that is. */
async function open({ loadStreams }: Pick<CommandOptions, "loadStreams">) {
  const { config, place } = findServers();
  const streams = await loadStreams();
  const db = connect(config.databaseUrl, TIMEOUT_MS, config.neonHttpUrl);
  console.error(`Dead letters of ${place}\n`);
  const letters = createDeadLetterStore(db, streams, TIMEOUT_MS);
  return { config, streams, letters, store: createStore(db, TIMEOUT_MS) };
}

async function listGroups({ filter, limit = LIST_LIMIT, loadStreams }: CommandOptions): Promise<number> {
  const { letters } = await open({ loadStreams });
  const groups = await letters.group(filter, limit);
  if (groups.length === 0) return nothing(filter);
  printTable(
    [
      ...["letters", ...(filter.isAll ? ["live"] : []), "stream", "sqlstate"],
      ...["reason", "state", "first died", "last died", "example"],
    ],
    groups.map((one) => [
      ...[one.letters, ...(filter.isAll ? [one.live] : []), one.stream, one.sqlstate, one.reason],
      ...[one.isHeld ? "held" : "dead", toSecond(one.firstDiedAt), toSecond(one.lastDiedAt), one.exampleId],
    ]),
  );
  if (groups.length === limit) console.log(`\n… and perhaps more: --limit ${limit * 10}`);
  sayNotCompared(notComparedOf(groups));
  console.log(`\nOne of them whole, with its data: npm run dead-letters -- show ${groups[0]?.exampleId}`);
  return 0;
}

async function listEach({ filter, limit = LIST_LIMIT, loadStreams }: CommandOptions): Promise<number> {
  const { letters, config } = await open({ loadStreams });
  const rows: (string | number | null)[][] = [];
  const notCompared: NotCompared[] = [];
  for await (const letter of readAll(letters, filter, limit, config.batchMaxRows)) {
    rows.push([
      ...[letter.id, letter.stream, letter.sqlstate, letter.burials, toSecond(letter.diedAt)],
      ...[stateOf(letter), letter.reason],
    ]);
    notCompared.push(...notComparedOf([letter]));
  }
  if (rows.length === 0) return nothing(filter);
  printTable(["id", "stream", "sqlstate", "burials", "died", "state", "reason"], rows);
  if (rows.length === limit) console.log(`\n… and perhaps more: --limit ${limit * 10}`);
  sayNotCompared(notCompared);
  return 0;
}

const notComparedOf = (letters: readonly Pick<DeadLetter, "stream" | "notCompared">[]): NotCompared[] =>
  letters.flatMap(({ stream, notCompared: why }) => (why === null ? [] : [{ stream, why }]));

/** Says of which streams letters are shown that may be stored since. */
function sayNotCompared(found: readonly NotCompared[]): void {
  for (const [stream, why] of new Map(found.map((one) => [one.stream, one.why])))
    console.log(
      `\nLetters of ${stream} were not compared with its table, so some of them may be stored: ${why}.`,
    );
}

/** Reads letters in pages that one answer of Postgres can hold. */
async function* readAll(letters: DeadLetterStore, filter: LetterFilter, limit: number, pageMaxRows: number) {
  let after: Cursor | undefined;
  for (let left = limit; left > 0; ) {
    const rows = Math.min(left, pageMaxRows);
    const page = await letters.read(filter, rows, after);
    yield* page;
    if (page.length < rows) return;
    left -= rows;
    after = page.at(-1);
  }
}

async function show({ filter, loadStreams }: CommandOptions): Promise<number> {
  if (filter.ids.length !== 1) throw new UsageError("show: expected one id");
  const { letters } = await open({ loadStreams });
  const [letter, another] = await letters.read({ ...filter, isAll: true }, 2);
  if (letter === undefined) throw new CommandFailed(`There is no dead letter ${filter.ids[0]}.`);
  if (another !== undefined)
    throw new CommandFailed(
      `Several streams have a dead letter ${letter.id}: add --stream ${letter.stream} or --stream ${another.stream}.`,
    );
  const fields: [string, string | number | null][] = [
    ["stream", letter.stream],
    ["id", letter.id],
    ["state", stateOf(letter)],
    ["sqlstate", letter.sqlstate],
    ["reason", letter.reason],
    ["burials", letter.burials],
    ["received", letter.receivedAt],
    ["died", letter.diedAt],
    ["next try", letter.retryAt],
    ["redriven", letter.redrivenAt],
    ...(letter.notCompared === null ? [] : [["stored?", letter.notCompared] as [string, string]]),
  ];
  for (const [name, value] of fields) console.log(`${name.padEnd(9)} ${printable(String(value ?? "–"))}`);
  console.log("\nThe envelope, which holds the event's data:");
  console.log(printable(letter.envelope));
  return 0;
}

function stateOf({ isLive, redrivenAt, retryAt }: DeadLetter): string {
  if (redrivenAt !== null) return `redriven ${toSecond(redrivenAt)}`;
  if (!isLive) return "stored since";
  return retryAt === null ? "dead" : "held";
}

async function redriveLetters(request: CommandOptions): Promise<number> {
  const { filter, limit, rate, values } = request;
  const { letters, config, streams, store } = await open(request);
  const found = await letters.count(filter, limit);
  if (found.letters === 0) return nothing(filter);
  sayNotCompared(found.notCompared);
  const some = countOf(found.letters, "letter");
  if (values["dry-run"]) {
    console.error(`${some} to try …`);
    return printTrial(
      tryRedrive({ letters, store, streams, pageMaxRows: config.batchMaxRows }, filter, limit),
    );
  }
  console.error(`${some} at ${rate}/s, about ${describeSeconds(Math.ceil(found.letters / rate))} …`);
  const deps = {
    letters,
    buffer: createBuffer(connectRedis(config, PUSH_TIMEOUT_MS)),
    streams,
    partitions: config.partitions,
    pageMaxRows: config.batchMaxRows,
    monotonicMs: () => performance.now(),
    sleep,
  };
  let report: RedriveReport = { redriven: 0, changed: 0, skipped: 0, stopped: undefined };
  for await (const progress of redrive(deps, filter, { rate, limit })) {
    for (const { letter, why } of progress.skippedNow)
      console.error(`  ${printable(`${letter.stream} ${letter.id}: can't be redriven, ${why}`)}`);
    if (progress.redriven > report.redriven)
      console.error(
        `  ${progress.redriven.toLocaleString("en-US")} of ${found.letters.toLocaleString("en-US")}`,
      );
    report = progress;
  }
  for (const line of describeRedrive(report)) console.log(line);
  return report.stopped || report.skipped > 0 ? 1 : 0;
}

function describeRedrive({ redriven, changed, skipped, stopped }: RedriveReport): string[] {
  const lines = [
    `${countOf(redriven, "letter")} redriven: the next drain stores or buries them (npm run drain).`,
  ];
  if (changed > 0)
    lines.push(
      `${countOf(changed, "letter")} pushed but not marked: they died again or were purged meanwhile.`,
    );
  if (skipped > 0)
    lines.push(`${countOf(skipped, "letter")} can't be redriven, see above; they stay as they are.`);
  if (stopped) lines.push(`Stopped early. ${stopped}.`);
  return lines;
}

async function purge({ filter: given, limit, values, loadStreams }: CommandOptions): Promise<number> {
  // Held events may be good: nobody purges them without naming them.
  const filter: LetterFilter = { ...given, state: given.state ?? "dead" };
  const { streams, sqlstates, ids, since, until } = filter;
  const isFiltered = streams.length + sqlstates.length + ids.length > 0 || since || until;
  if (!isFiltered && !values["all-letters"])
    throw new UsageError("purge: expected a filter, or --all-letters");
  if (!values.yes && !values["dry-run"])
    throw new UsageError("purge loses events on purpose: expected --dry-run first, then --yes");
  const { letters } = await open({ loadStreams });
  if (values["dry-run"]) {
    const { live, letters: all, notCompared } = await letters.count(filter, limit);
    sayNotCompared(notCompared);
    console.log(`${countOf(all, "letter")} would be purged, ${live} of them live; nothing was changed.`);
    return 0;
  }
  const { live, letters: all, notCompared } = await letters.purge(filter, limit);
  sayNotCompared(notCompared);
  console.log(`${countOf(all, "letter")} purged.`);
  if (live > 0) console.log(`${countOf(live, "event")} ${live === 1 ? "is" : "are"} lost, on purpose.`);
  if (all > live)
    console.log(`${countOf(all - live, "letter")} had been redriven or stored: only the history is gone.`);
  return 0;
}

function nothing(filter: LetterFilter): number {
  console.log(
    filter.isAll ? "No dead letters." : "No live dead letters (--all: redriven and stored ones too).",
  );
  return 0;
}

const toSecond = (moment: string): string => `${moment.slice(0, 19)}Z`;

/** Runs the command over these streams, which are loaded once its words make sense. */
export const runDeadLetters = (loadStreams: () => Promise<Registry>): Promise<void> =>
  runCommand({ name: "dead-letters", usage }, async (args) => {
    const { values, positionals } = parseArguments(args, options);
    const [name = "", ...words] = positionals;
    const command = Object.hasOwn(commands, name) ? commands[name] : undefined;
    if (command === undefined) throw new UsageError(`expected list, show, redrive or purge, got "${name}"`);
    if (name !== "show" && words.length > 0) throw new UsageError(`expected options, got "${words[0]}"`);
    for (const [option, names] of Object.entries(ONLY_FOR))
      if (values[option as keyof Values] !== undefined && !names.includes(name))
        throw new UsageError(`--${option} is for ${names.join(" and ")}`);
    return command(understand(values, name === "show" ? words : [], loadStreams));
  });
