/** The first thing to read: one sentence and its button, and below it whatever else is wrong. */
import { drainNow, resume } from "../act.ts";
import type { Finding, Remedy } from "../model/verdict.ts";
import { clockOf } from "../phrases.ts";
import { announced, connection, findings, heardMs, show, supervisorMs } from "../state.ts";
import { Button } from "./button.tsx";

const PLAYBOOK = "https://github.com/OWNER/spillway/blob/main/docs/operations.md#";
const LEVELS = { bad: "Broken", warn: "Attention", good: "Well", unknown: "…" } as const;

export function Verdict() {
  const [first, ...others] = findings.value;
  const stale = sayStale();
  return (
    <section class={`verdict ${first.level}`} aria-label="Verdict">
      <div class="first">
        <p class="level">{LEVELS[first.level]}</p>
        <p id="verdict" tabIndex={-1}>
          {first.sentence}
        </p>
        <p role="status" class="unseen-text">
          {announced.value}
        </p>
        <RemedyButton key={JSON.stringify(first.remedy)} finding={first} isFirst />
      </div>
      {others.length > 0 && (
        <ul class="others">
          {others.map((finding, i) => (
            <li key={keyOf(finding, others.slice(0, i))}>
              {finding.sentence} <RemedyButton finding={finding} />
            </li>
          ))}
        </ul>
      )}
      {stale !== undefined && <p class="note">{stale}</p>}
    </section>
  );
}

/** Names a finding by its remedy, because an age in its sentence changes each second, and its button would be another one then. */
function keyOf({ remedy }: Finding, before: readonly Finding[]): string {
  const name = JSON.stringify(remedy);
  return `${name} ${before.filter((one) => JSON.stringify(one.remedy) === name).length}`;
}

/** Why the page shows an earlier moment, and which; undefined: it does not. */
function sayStale(): string | undefined {
  const { kind } = connection.value;
  if ((kind !== "resting" && kind !== "lost") || heardMs.value === undefined) return undefined;
  const was = `what this page shows was so at ${clockOf(supervisorMs.value, "seconds")}.`;
  return kind === "resting"
    ? `${connection.value.why} Nothing new is shown: ${was}`
    : `Nothing new is shown: ${was}`;
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
