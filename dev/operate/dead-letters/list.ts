/** `spillway dead-letters list`: letters by stream, SQLSTATE and reason, or letter by letter. */
import {
  type LetterGroups,
  type LetterPage,
  type ListedLetter,
  letterGroups,
  letterPage,
  type NotCompared,
} from "../../../lib/contract/letters.ts";
import { bodyOf, type Supervisor } from "../ask-supervisor.ts";
import { action } from "../command.ts";
import { jsonOption, printTable, wholeNumber } from "../command-line.ts";
import { findSupervisor, supervisorOptions } from "../find-supervisor.ts";
import { type Filter, filterOf, filterOptions, queryOf } from "./filters.ts";
import { sayNotCompared, sayNothing, toSecond } from "./say.ts";

const LIST_LIMIT = 100;

export const list = action({
  about: "lists them, grouped by stream, SQLSTATE and reason",
  options: {
    each: { type: "boolean", about: "letter by letter; --limit counts letters then, and groups otherwise" },
    ...filterOptions,
    ...jsonOption,
    ...supervisorOptions,
  },
  async run({ values }) {
    const filter = filterOf(values);
    const limit = wholeNumber("--limit", values.limit, LIST_LIMIT);
    const supervisor = await findSupervisor(values);
    console.error(`Dead letters of ${supervisor.place}\n`);
    const found = values.each
      ? await readEach(supervisor, filter, limit)
      : bodyOf(await supervisor.ask("GET", `/dead-letters?${withLimit(filter, limit)}`), letterGroups);
    if (values.json) console.log(JSON.stringify(found));
    else if ("groups" in found) printGroups(found, filter, limit);
    else printEach(found, filter, limit);
    return 0;
  },
});

type Letters = Omit<LetterPage, "next">;

/** The most that one answer holds. */
const ROWS_MAX = 1000;

function withLimit(filter: Filter, limit: number): URLSearchParams {
  const query = queryOf(filter);
  query.set("limit", String(Math.min(limit, ROWS_MAX)));
  return query;
}

/** Reads letters page by page. */
async function readEach(supervisor: Supervisor, filter: Filter, limit: number): Promise<Letters> {
  const letters: ListedLetter[] = [];
  const notCompared: NotCompared[] = [];
  let next: string | null | undefined;
  do {
    const query = withLimit(filter, limit - letters.length);
    query.set("each", "1");
    if (next) query.set("cursor", next);
    const page = bodyOf(await supervisor.ask("GET", `/dead-letters?${query}`), letterPage);
    letters.push(...page.letters);
    notCompared.push(...page.notCompared);
    next = page.next;
  } while (next && letters.length < limit);
  return { letters, notCompared };
}

function printGroups({ groups, notCompared }: LetterGroups, filter: Filter, limit: number): void {
  if (groups.length === 0) return void sayNothing(filter);
  printTable(
    [
      ...["letters", ...(filter.all ? ["live"] : []), "stream", "sqlstate"],
      ...["reason", "state", "first died", "last died", "example"],
    ],
    groups.map((one) => [
      ...[one.letters, ...(filter.all ? [one.live] : []), one.stream, one.sqlstate, one.reason],
      ...[one.isHeld ? "held" : "dead", toSecond(one.firstDiedAt), toSecond(one.lastDiedAt), one.exampleId],
    ]),
  );
  sayMore(groups.length, limit);
  sayNotCompared(notCompared.filter(({ stream }) => groups.some((group) => group.stream === stream)));
  console.log(`\nOne of them whole, with its data: spillway dead-letters show ${groups[0]?.exampleId}`);
}

function printEach({ letters, notCompared }: Letters, filter: Filter, limit: number): void {
  if (letters.length === 0) return void sayNothing(filter);
  printTable(
    ["id", "stream", "sqlstate", "burials", "died", "state", "reason"],
    letters.map((letter) => [
      ...[letter.id, letter.stream, letter.sqlstate, letter.burials, toSecond(letter.diedAt)],
      ...[stateOf(letter), letter.reason],
    ]),
  );
  sayMore(letters.length, limit);
  sayNotCompared(notCompared);
}

function sayMore(shown: number, limit: number): void {
  if (shown === Math.min(limit, ROWS_MAX)) console.log(`\n… and perhaps more: --limit ${limit * 10}`);
}

/** What is the matter with a letter, for people. */
export function stateOf({ isLive, redrivenAt, retryAt }: ListedLetter): string {
  if (redrivenAt !== null) return `redriven ${toSecond(redrivenAt)}`;
  if (!isLive) return "stored since";
  return retryAt === null ? "dead" : "held";
}
