/** `spillway doctor`: makes every check, and prints what is seen, what that means, and what to do. */
import { styleText } from "node:util";
import {
  type CheckReport,
  type CheckResult,
  type DoctorReport,
  doctorReport,
} from "../../../lib/contract/doctor.ts";
import { bodyOf } from "../ask-supervisor.ts";
import { action } from "../command.ts";
import { jsonOption, printable } from "../command-line.ts";
import { findSupervisor, supervisorOptions } from "../find-supervisor.ts";

const COLOURS = { right: "green", wrong: "red", unseen: "yellow" } as const satisfies Record<
  CheckResult,
  string
>;
const GROUPS = { redis: "Redis", postgres: "Postgres", spillway: "Spillway" } as const satisfies Record<
  CheckReport["group"],
  string
>;
/** Where the sentences begin. */
const INDENT = " ".repeat(11);

export default action({
  about: "Makes every check: what is seen, what it means, and what to do.",
  options: { ...jsonOption, ...supervisorOptions },
  notes:
    "It changes nothing. Each check is right, wrong, or unseen (it can't be told from here, and where to look). It exits with 1 if one is wrong.",
  async run({ values }) {
    const supervisor = await findSupervisor(values);
    const report = bodyOf(await supervisor.ask("GET", "/doctor"), doctorReport);
    if (values.json) console.log(JSON.stringify(report));
    else print(report);
    return report.checks.some(({ result }) => result === "wrong") ? 1 : 0;
  },
});

function print({ checks }: DoctorReport): void {
  let group: CheckReport["group"] | undefined;
  for (const check of checks) {
    if (check.group !== group) console.log(`${group === undefined ? "" : "\n"}${GROUPS[check.group]}`);
    group = check.group;
    printCheck(check);
  }
  const count = (result: CheckResult) => checks.filter((check) => check.result === result).length;
  console.log(`\n${count("right")} right, ${count("wrong")} wrong, ${count("unseen")} can't be seen here.`);
}

/** A check that is right takes one line, because there is nothing to do. */
function printCheck({ check, result, seen, means, do: cure }: CheckReport): void {
  const begin = `  ${styleText(COLOURS[result], result.padEnd(6))}   ${check}: ${printable(seen)}`;
  const between = result === "right" ? " → " : `\n${INDENT}→ `;
  console.log([begin, printable(means), printable(cure)].join(between));
}
