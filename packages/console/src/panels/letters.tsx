/** Dead letters by reason: show, dry run, redrive, and purge with the count typed in. */
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import type { LetterGroup, LetterGroups } from "../../../../lib/contract/letters.ts";
import { act } from "../act.ts";
import { redrive, tryRedrive } from "../letters.ts";
import { keyOf } from "../model/letters.ts";
import { clockOf, countOf, numberOf } from "../phrases.ts";
import { askSupervisor } from "../server.ts";
import { live, wantLines } from "../state.ts";
import { Button } from "./button.tsx";
import { GroupLetters } from "./group-letters.tsx";
import { Panel } from "./panel.tsx";
import { Purge } from "./purge.tsx";

export function Letters() {
  const { letters } = live.value;
  const dead = letters?.reduce((sum, one) => sum + one.dead, 0);
  const note = dead === undefined ? undefined : dead === 0 ? "none" : countOf(dead, "letter");
  return (
    <Panel id="letters" title="Dead letters" {...(note === undefined ? {} : { note })}>
      <Groups />
    </Panel>
  );
}

/** The largest ones; more are no use on a page. */
const GROUPS_MAX = 100;

function Groups() {
  const groups = useSignal<LetterGroups | null>(null);
  const read = async () => {
    groups.value = await askSupervisor<LetterGroups>("GET", `/dead-letters?limit=${GROUPS_MAX}`);
    return "";
  };
  useEffect(() => {
    wantLines("letters", true);
    return () => wantLines("letters", false);
  }, []);
  // The line comes at first, and when a count has changed; a redrive of one letter for another is seen at the next press.
  const { letters } = live.value;
  useEffect(() => {
    if (letters) void act(read);
  }, [letters]);
  if (letters === null) return <p class="wrong">Postgres does not answer.</p>;
  if (groups.value === null) return <p class="note">Reading …</p>;
  if (groups.value.groups.length === 0) return <p>There are no dead letters.</p>;
  return (
    <>
      <ul class="groups">
        {groups.value.groups.map((group) => (
          <Group key={keyOf(group)} group={group} again={read} />
        ))}
      </ul>
      <Others {...groups.value} />
    </>
  );
}

/** The letters of groups that are not shown. */
function Others({ total, groups }: LetterGroups) {
  if (groups.length < GROUPS_MAX) return null;
  const others = total - groups.reduce((sum, { letters }) => sum + letters, 0);
  if (others <= 0) return null;
  return (
    <p class="note">
      {countOf(others, "letter")} of other reasons come up when these are gone; npx spillway dead-letters list
      has all.
    </p>
  );
}

function Group({ group, again }: { group: LetterGroup; again(): Promise<string> }) {
  const isShown = useSignal(false);
  const isPurging = useSignal(false);
  const { stream, sqlstate, reason, isHeld, letters, lastDiedAt } = group;
  const name = `${stream}: ${reason}`;
  const isCodeMissing = sqlstate !== null && !reason.includes(sqlstate);
  const mend = () => act(() => redrive(group).finally(again));
  return (
    <li>
      <p>
        <strong>
          {numberOf(letters)} of {stream}
        </strong>{" "}
        {isHeld && "held, tried again by themselves: "}
        {reason} {isCodeMissing && <code>{sqlstate}</code>}{" "}
        <span class="note">last {clockOf(lastDiedAt, "seconds")}</span>
      </p>
      <div class="row">
        <button
          type="button"
          aria-expanded={isShown.value}
          aria-label={`Show ${name}`}
          onClick={() => (isShown.value = !isShown.value)}
        >
          Show
        </button>
        <Button run={() => act(() => tryRedrive(group))} writes label={`Dry run: ${name}`}>
          Dry run
        </Button>
        <Button run={mend} writes label={`Redrive ${name}`}>
          Redrive
        </Button>
        <button
          type="button"
          aria-expanded={isPurging.value}
          aria-label={`Purge ${name} …`}
          onClick={() => (isPurging.value = !isPurging.value)}
        >
          Purge …
        </button>
      </div>
      {isPurging.value && <Purge group={group} again={again} />}
      {isShown.value && <GroupLetters group={group} />}
    </li>
  );
}
