/** The doctor: what is seen, what it means, and what to do. It is asked by a button, because it asks both servers much. */
import { useSignal } from "@preact/signals";
import type { CheckReport, CheckResult, DoctorReport } from "../../../../lib/contract/doctor.ts";
import { act } from "../act.ts";
import { askSupervisor } from "../server.ts";
import { Button } from "./button.tsx";
import { Panel } from "./panel.tsx";
import { Scroll } from "./scroll.tsx";

export function Doctor() {
  return (
    <Panel id="doctor" title="Doctor">
      <Inside />
    </Panel>
  );
}

const ORDER: readonly CheckResult[] = ["wrong", "unseen", "right"];

function Inside() {
  const report = useSignal<DoctorReport | null>(null);
  const run = () =>
    act(async () => {
      report.value = await askSupervisor<DoctorReport>("GET", "/doctor");
      const count = (result: CheckResult) =>
        report.value?.checks.filter((one) => one.result === result).length;
      return `The doctor made ${report.value.checks.length} checks: ${ORDER.map((one) => `${count(one)} ${one}`).join(", ")}.`;
    });
  const checks = report.value?.checks ?? [];
  return (
    <>
      <div class="row">
        <Button run={run}>Make every check</Button>
        <span class="note">This asks Redis and Postgres, and changes nothing.</span>
      </div>
      {checks.length > 0 && (
        <Scroll label="Checks">
          <table id="checks">
            <thead>
              <tr>
                <th scope="col">Check</th>
                <th scope="col">Result</th>
                <th scope="col">Seen → means → do</th>
              </tr>
            </thead>
            <tbody>
              {ORDER.flatMap((result) => checks.filter((one) => one.result === result)).map((check) => (
                <Check key={check.check} {...check} />
              ))}
            </tbody>
          </table>
        </Scroll>
      )}
    </>
  );
}

function Check({ check, result, seen, means, do: cure }: CheckReport) {
  return (
    <tr>
      <th scope="row">{check}</th>
      <td class={result}>{result}</td>
      <td class="text">
        {seen} → {means}
        {result !== "right" && ` → ${cure}`}
      </td>
    </tr>
  );
}
