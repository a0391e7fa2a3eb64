/** `spillway dead-letters purge`: deletes letters, so that their events are lost. */
import { type LetterCount, letterCount } from "../../../lib/contract/letters.ts";
import { bodyOf } from "../ask-supervisor.ts";
import { action } from "../command.ts";
import { countOf, jsonOption, UsageError, wholeNumber } from "../command-line.ts";
import { findSupervisor, supervisorOptions } from "../find-supervisor.ts";
import { filterOf, filterOptions } from "./filters.ts";
import { sayNotCompared } from "./say.ts";

export const purge = action({
  about: "deletes letters: their events are lost, on purpose",
  options: {
    "dry-run": { type: "boolean", about: "only count them" },
    yes: { type: "boolean", about: "do it" },
    "all-letters": { type: "boolean", about: "every dead letter, because no filter is given" },
    ...filterOptions,
    ...jsonOption,
    ...supervisorOptions,
  },
  async run({ values }) {
    const filter = filterOf(values);
    const limit = wholeNumber("--limit", values.limit, undefined);
    const { streams, sqlstates, ids, since, until } = filter;
    const isFiltered = streams.length + sqlstates.length + ids.length > 0 || since || until;
    if (!isFiltered && !values["all-letters"])
      throw new UsageError("purge: expected a filter, or --all-letters");
    const dryRun = values["dry-run"] ?? false;
    if (!values.yes && !dryRun)
      throw new UsageError("purge loses events on purpose: expected --dry-run first, then --yes");
    const supervisor = await findSupervisor(values);
    console.error(`Dead letters of ${supervisor.place}\n`);
    const body = { ...filter, limit, dryRun, allLetters: values["all-letters"] ?? false };
    const found = bodyOf(await supervisor.ask("POST", "/dead-letters/purge", { body }), letterCount);
    if (values.json) console.log(JSON.stringify(found));
    else print(found, dryRun);
    return 0;
  },
});

function print({ live, letters: all, notCompared }: LetterCount, isDryRun: boolean): void {
  sayNotCompared(notCompared);
  if (isDryRun) {
    console.log(`${countOf(all, "letter")} would be purged, ${live} of them live; nothing was changed.`);
    return;
  }
  console.log(`${countOf(all, "letter")} purged.`);
  if (live > 0) console.log(`${countOf(live, "event")} ${live === 1 ? "is" : "are"} lost, on purpose.`);
  if (all > live)
    console.log(`${countOf(all - live, "letter")} had been redriven or stored: only the history is gone.`);
}
