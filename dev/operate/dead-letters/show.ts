/** `spillway dead-letters show`: one letter whole, with the event. */
import { type ShownLetter, shownLetters } from "../../../lib/contract/letters.ts";
import { bodyOf } from "../ask-supervisor.ts";
import { action } from "../command.ts";
import { CommandFailed, jsonOption, printable, UsageError } from "../command-line.ts";
import { findSupervisor, supervisorOptions } from "../find-supervisor.ts";
import { filterOptions, idOf } from "./filters.ts";
import { stateOf } from "./list.ts";

export const show = action({
  about: "shows one letter whole; it prints the event itself, which may be personal data",
  words: "ID",
  wordsMax: 1,
  options: { stream: filterOptions.stream, ...jsonOption, ...supervisorOptions },
  async run({ values, words: [word] }) {
    if (word === undefined) throw new UsageError("show: expected one id");
    const id = idOf(word);
    const supervisor = await findSupervisor(values);
    console.error(`Dead letters of ${supervisor.place}\n`);
    const query = new URLSearchParams();
    for (const stream of values.stream ?? []) query.append("stream", stream);
    const answer = await supervisor.ask("GET", `/dead-letters/${id}?${query}`);
    if ((answer.body as { code?: string } | undefined)?.code === "unknown-letter")
      throw new CommandFailed(`There is no dead letter ${id}.`);
    const [letter, another] = bodyOf(answer, shownLetters).letters;
    if (letter === undefined) throw new CommandFailed(`There is no dead letter ${id}.`);
    if (another !== undefined)
      throw new CommandFailed(
        `Several streams have a dead letter ${id}: add --stream ${letter.stream} or --stream ${another.stream}.`,
      );
    if (values.json) console.log(JSON.stringify(letter));
    else print(letter);
    return 0;
  },
});

function print(letter: ShownLetter): void {
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
}
