/** `spillway doctor`: looks at everything, and says what somebody should know or do. */
import { styleText } from "node:util";
import type { DoctorReport } from "../../../lib/operate/doctor.ts";
import type { Finding } from "../../../lib/operate/finding.ts";
import { bodyOf } from "../ask-supervisor.ts";
import { action } from "../command.ts";
import { jsonOption, printable } from "../command-line.ts";
import { findSupervisor, supervisorOptions } from "../find-supervisor.ts";

const COLOURS = { error: "red", warning: "yellow", info: "cyan" } as const satisfies Record<
  Finding["severity"],
  string
>;

export default action({
  about: "Looks at everything, and says what is wrong or soon will be, and what to do.",
  options: { ...jsonOption, ...supervisorOptions },
  notes: "It changes nothing. It exits with 1 if it finds an error.",
  async run({ values }) {
    const supervisor = await findSupervisor(values);
    const report = bodyOf<DoctorReport>(await supervisor.ask("GET", "/doctor"), { findings: "rows" });
    if (values.json) console.log(JSON.stringify(report));
    else print(report.findings);
    return report.findings.some(({ severity }) => severity === "error") ? 1 : 0;
  },
});

function print(findings: readonly Finding[]): void {
  if (findings.length === 0) console.log("Nothing is wrong.");
  for (const { what, severity, say, do: cure } of findings) {
    console.log(`${styleText(COLOURS[severity], severity.padEnd(7))}  ${printable(say)}  (${what})`);
    console.log(`         ${printable(cure)}`);
  }
}
