/** Purges a group, once its count was typed in: what is purged is lost. */
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import type { LetterGroup, ListedLetter } from "../../../../lib/contract/letters.ts";
import { act } from "../act.ts";
import { lettersOf, NONE_LEFT, purge } from "../letters.ts";
import { Button } from "./button.tsx";

export function Purge({ group, again }: { group: LetterGroup; again(): Promise<string> }) {
  const letters = useSignal<readonly ListedLetter[] | null>(null);
  const typed = useSignal("");
  const count = () =>
    act(async () => {
      letters.value = await lettersOf(group);
      typed.value = "";
      return "";
    });
  useEffect(() => void count(), []);
  if (letters.value === null) return <p class="note">Counting …</p>;
  const chosen = letters.value;
  if (chosen.length === 0) return <p class="note">{NONE_LEFT}</p>;
  const run = async () => {
    await act(() => purge(group, chosen).finally(again));
    await count(); // there may be more of them than one press takes
  };
  return (
    <div class="row">
      <label>
        Their events will be lost. Type {chosen.length} to delete them:{" "}
        <input
          inputMode="numeric"
          size={6}
          value={typed.value}
          onInput={(event) => (typed.value = event.currentTarget.value)}
        />
      </label>
      <Button run={run} writes disabled={typed.value.trim() !== String(chosen.length)}>
        Purge
      </Button>
    </div>
  );
}
