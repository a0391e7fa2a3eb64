/** The first thing to read: one sentence and its button, and below it whatever else is wrong. */

import { drainNow, resume } from "../act.ts";
import type { Finding, Remedy } from "../model/verdict.ts";
import { announced, connection, findings, said, show } from "../state.ts";
import { Button } from "./button.tsx";

const PLAYBOOK = "https://github.com/OWNER/spillway/blob/main/docs/operations.md#";
const LEVELS = { bad: "Broken", warn: "Look", good: "Well", unknown: "…" } as const;

export function Verdict() {
  const [first, ...others] = findings.value;
  const resting =
    connection.value.kind === "resting" ? `${connection.value.why} Nothing new is shown.` : undefined;
  return (
    <section class={`verdict ${first?.level}`} aria-label="Verdict">
      <div class="first">
        <p class="level">{LEVELS[first?.level ?? "unknown"]}</p>
        <p id="verdict">{first?.sentence}</p>
        <p role="status" class="unseen-text">
          {announced.value}
        </p>
        {first && <RemedyButton finding={first} isFirst />}
      </div>
      {others.length > 0 && (
        <ul class="others">
          {others.map((finding) => (
            <li key={finding.sentence}>
              {finding.sentence} <RemedyButton finding={finding} />
            </li>
          ))}
        </ul>
      )}
      {resting !== undefined && <p class="note">{resting}</p>}
      <p id="said" role="status" class="said">
        {said.value}
      </p>
    </section>
  );
}

function RemedyButton({
  finding: { remedy, sentence },
  isFirst = false,
}: {
  finding: Finding;
  isFirst?: boolean;
}) {
  if (remedy === null) return null;
  if (remedy.kind === "playbook")
    return (
      <a
        href={`${PLAYBOOK}${remedy.section}`}
        target="_blank"
        rel="noreferrer"
        aria-label={`Playbook: ${sentence}`}
      >
        Playbook
      </a>
    );
  const { text, writes, run } = buttonOf(remedy);
  return (
    <Button run={run} writes={writes} primary={isFirst} label={`${text}: ${sentence}`}>
      {text}
    </Button>
  );
}

function buttonOf(remedy: Exclude<Remedy, { kind: "playbook" }>) {
  if (remedy.kind === "resume") return { text: "Resume", writes: true, run: () => resume(remedy.stream) };
  if (remedy.kind === "drain") return { text: "Drain now", writes: true, run: () => drainNow(remedy.stream) };
  const open = async () => show(remedy.panel);
  return { text: "Show", writes: false, run: open };
}
