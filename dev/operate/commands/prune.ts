/** `spillway prune`: deletes letters that were settled long ago, and old hours of the use of ingest. */
import { type PruneAnswer, pruneAnswer } from "../../../lib/contract/prune.ts";
import { bodyOf } from "../ask-supervisor.ts";
import { action } from "../command.ts";
import { countOf, jsonOption, UsageError } from "../command-line.ts";
import { findSupervisor, supervisorOptions } from "../find-supervisor.ts";

export default action({
  about: "Deletes letters that were redriven or stored long ago, and old hours of the use of ingest.",
  options: {
    "letters-older": {
      type: "string",
      value: "DAYS",
      about: "letters settled so long ago, as 30d; 0: none (KEEP_LETTERS_DAYS without it)",
    },
    "usage-older": {
      type: "string",
      value: "DAYS",
      about: "hours so long ago; 0: none (KEEP_USAGE_DAYS without it)",
    },
    "dry-run": { type: "boolean", about: "only count what it would delete" },
    ...jsonOption,
    ...supervisorOptions,
  },
  notes:
    "A letter that waits for somebody, or is held and tried again, is never deleted. The supervisor does the same once a day, in a\ntick that has reached Postgres anyway. It ends after 40 s; run it again for the rest.",
  async run({ values }) {
    const query = new URLSearchParams();
    addDays(query, "letters-days", "--letters-older", values["letters-older"]);
    addDays(query, "usage-days", "--usage-older", values["usage-older"]);
    if (values["dry-run"]) query.set("dry-run", "1");
    const supervisor = await findSupervisor(values);
    const report = bodyOf(await supervisor.ask("POST", `/prune?${query}`), pruneAnswer);
    if (values.json) console.log(JSON.stringify(report));
    else print(report);
    return report.isDryRun || report.isDone ? 0 : 1;
  },
});

function addDays(query: URLSearchParams, name: string, option: string, text: string | undefined): void {
  if (text === undefined) return;
  const [, days] = /^(\d{1,5})d?$/.exec(text) ?? [];
  if (days === undefined) throw new UsageError(`${option}: expected days, as 30d, got "${text}"`);
  query.set(name, days);
}

function print({ letters, usage, lettersDays, usageDays, isDone, isDryRun }: PruneAnswer): void {
  const did = isDryRun ? "would be deleted" : "deleted";
  const older = (days: number) => (days === 0 ? "kept for ever" : `older than ${countOf(days, "day")}`);
  console.log(`${countOf(letters, "settled letter")} ${did} (${older(lettersDays)})`);
  console.log(`${countOf(usage, "row")} of spillway_usage ${did} (${older(usageDays)})`);
  if (!isDryRun && !isDone) console.log("There is more: run it again.");
}
