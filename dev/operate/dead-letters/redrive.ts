/** `spillway dead-letters redrive`: pushes the events into the buffer again, or tries what would become of them. */
import type { z } from "zod";
import { describeSeconds } from "../../../lib/contract/length-of-time.ts";
import {
  letterGroups,
  type RedriveAnswer,
  redriveAnswer,
  type TrialAnswer,
  type TrialGroup,
  trialAnswer,
} from "../../../lib/contract/letters.ts";
import { bodyOf, type Supervisor } from "../ask-supervisor.ts";
import { action } from "../command.ts";
import { countOf, jsonOption, printTable, wholeNumber } from "../command-line.ts";
import { findSupervisor, supervisorOptions } from "../find-supervisor.ts";
import { filterOf, filterOptions, queryOf } from "./filters.ts";
import { sayNotCompared, sayNothing, saySkipped } from "./say.ts";

/** How long one part of a redrive may take: the supervisor ends it after 45 s. */
const PART_TIMEOUT_MS = 120_000;

export const redrive = action({
  about: "pushes the events into the buffer again, under their ids",
  options: {
    rate: { type: "string", value: "N", about: "events a second, at most (default 100)" },
    "dry-run": {
      type: "boolean",
      about: "try the inserts, roll them back, and say which letters would die again",
    },
    ...filterOptions,
    ...jsonOption,
    ...supervisorOptions,
  },
  async run({ values }) {
    const filter = filterOf(values);
    const limit = wholeNumber("--limit", values.limit, undefined);
    const rate = wholeNumber("--rate", values.rate, 100);
    const supervisor = await findSupervisor(values);
    console.error(`Dead letters of ${supervisor.place}\n`);
    const query = queryOf(filter);
    const found = bodyOf(await supervisor.ask("GET", `/dead-letters?${query}`), letterGroups);
    const letters = Math.min(found.total, limit ?? found.total);
    if (letters === 0 && !values.json) return sayNothing(filter);
    if (!values.json) sayNotCompared(found.notCompared);
    const request = { ...filter, limit, rate, dryRun: values["dry-run"] ?? false };
    const many = countOf(letters, "letter");
    console.error(
      request.dryRun
        ? `${many} to try …`
        : `${many} at ${rate}/s, about ${describeSeconds(Math.ceil(letters / rate))} …`,
    );
    return request.dryRun
      ? endTrial(await sumOf({ supervisor, request, schema: trialAnswer }, () => {}, addTrial), values.json)
      : endRedrive(
          await sumOf({ supervisor, request, schema: redriveAnswer }, sayProgress(letters), addRedrive),
          values.json,
        );
  },
});

type Part = Pick<RedriveAnswer, "skipped" | "skippedLetters" | "next">;

interface Asking<Answer> {
  supervisor: Supervisor;
  request: object;
  schema: z.ZodType<Answer>;
}

/** Asks for part after part until nothing is left, and sums the answers. */
async function sumOf<Answer extends Part>(
  { supervisor, request, schema }: Asking<Answer>,
  say: (sum: Answer) => void,
  add: (sum: Answer, part: Answer) => Answer,
): Promise<Answer> {
  let sum: Answer | undefined;
  let cursor: string | undefined;
  do {
    const body = { ...request, cursor };
    const answer = await supervisor.ask("POST", "/dead-letters/redrive", {
      body,
      timeoutMs: PART_TIMEOUT_MS,
    });
    const part = bodyOf(answer, schema);
    saySkipped(part.skipped, part.skippedLetters);
    sum = sum === undefined ? part : add(sum, part);
    say(sum);
    cursor = part.next ?? undefined;
  } while (cursor !== undefined);
  return sum;
}

const addRedrive = (sum: RedriveAnswer, part: RedriveAnswer): RedriveAnswer => ({
  ...part,
  redriven: sum.redriven + part.redriven,
  changed: sum.changed + part.changed,
  skipped: sum.skipped + part.skipped,
});

const sayProgress = (letters: number) => (sum: RedriveAnswer) => {
  if (sum.next !== null)
    console.error(`  ${sum.redriven.toLocaleString("en-US")} of ${letters.toLocaleString("en-US")}`);
};

function endRedrive(sum: RedriveAnswer, isJson = false): number {
  const { redriven, changed, skipped, stopped } = sum;
  const lines = [
    `${countOf(redriven, "letter")} redriven: the next drain stores or buries them (spillway drain).`,
  ];
  if (changed > 0)
    lines.push(
      `${countOf(changed, "letter")} pushed but not marked: they died again or were purged meanwhile.`,
    );
  if (skipped > 0)
    lines.push(`${countOf(skipped, "letter")} can't be redriven, see above; they stay as they are.`);
  if (stopped !== null) lines.push(`Stopped early. ${stopped}.`);
  if (isJson) console.log(JSON.stringify({ redriven, changed, skipped, stopped }));
  else for (const line of lines) console.log(line);
  return stopped !== null || skipped > 0 ? 1 : 0;
}

const addTrial = (sum: TrialAnswer, part: TrialAnswer): TrialAnswer => ({
  ...part,
  stored: sum.stored + part.stored,
  refused: sum.refused + part.refused,
  there: sum.there + part.there,
  otherKey: sum.otherKey + part.otherKey,
  skipped: sum.skipped + part.skipped,
  stopped: [sum.stopped, part.stopped].filter((text) => text !== null).join(". ") || null,
  groups: mergeGroups([...sum.groups, ...part.groups]),
});

/** Groups that died alike become one; the largest first. */
function mergeGroups(groups: readonly TrialGroup[]): TrialGroup[] {
  const merged = new Map<string, TrialGroup>();
  for (const group of groups) {
    const key = JSON.stringify([group.stream, group.sqlstate, group.reason]);
    const known = merged.get(key);
    merged.set(key, { ...(known ?? group), letters: group.letters + (known?.letters ?? 0) });
  }
  return [...merged.values()].sort((a, b) => b.letters - a.letters);
}

function endTrial({ skippedLetters: _, next: __, ...sum }: TrialAnswer, isJson = false): number {
  if (isJson) console.log(JSON.stringify(sum));
  else printTrial(sum);
  return sum.stopped !== null || sum.skipped > 0 ? 1 : 0;
}

function printTrial(sum: Omit<TrialAnswer, "skippedLetters" | "next">): void {
  const { stored, refused, there, otherKey, groups, skipped, stopped } = sum;
  const count = (n: number) => n.toLocaleString("en-US");
  console.log(
    `${count(stored)} would be stored, ${count(refused)} would die again${groups.length > 0 ? ":\n" : "."}`,
  );
  if (groups.length > 0) {
    printTable(
      ["letters", "stream", "sqlstate", "reason", "example"],
      groups.map((one) => [one.letters, one.stream, one.sqlstate, one.reason, one.exampleId]),
    );
    console.log("");
  }
  if (there > 0) console.log(`${count(there)} are there already.`);
  if (otherKey > 0)
    console.log(`${count(otherKey)} would be stored under another key, because a trigger changes it.`);
  if (skipped > 0) console.log(`${countOf(skipped, "letter")} can't be redriven, see above.`);
  if (stopped !== null) console.log(`Not all were tried. ${stopped}.`);
  console.log("Nothing was changed, but sequences of the tables may have advanced.");
}
