/** The letters of a group, without their events; an event is read by its id when somebody asks for it. */
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import type { LetterGroup, ListedLetter } from "../../../../lib/contract/letters.ts";
import { act } from "../act.ts";
import { eventOf, lettersOf } from "../letters.ts";
import { clockOf, countOf } from "../phrases.ts";
import { Button } from "./button.tsx";
import { Code } from "./scroll.tsx";

/** More are no use on a page. */
const SHOWN_MAX = 50;

export function GroupLetters({ group }: { group: LetterGroup }) {
  const letters = useSignal<readonly ListedLetter[] | null>(null);
  useEffect(() => {
    void act(async () => {
      letters.value = await lettersOf(group);
      return "";
    });
  }, []);
  if (letters.value === null) return <p class="note">Reading …</p>;
  return (
    <ul>
      {letters.value.slice(0, SHOWN_MAX).map((letter) => (
        <Letter key={letter.id} letter={letter} />
      ))}
      {letters.value.length > SHOWN_MAX && (
        <li>and {countOf(letters.value.length - SHOWN_MAX, "more", "more")}</li>
      )}
    </ul>
  );
}

function Letter({ letter }: { letter: ListedLetter }) {
  const event = useSignal<string | null>(null);
  const show = () =>
    act(async () => {
      event.value = await eventOf(letter);
      return "";
    });
  const { id, diedAt, burials } = letter;
  return (
    <li>
      <code>{id}</code> died {clockOf(diedAt, "seconds")}
      {burials > 1 && `, ${burials} times`}{" "}
      <Button run={show} label={`Show the event ${id}`}>
        Event
      </Button>
      {event.value !== null && <Code>{event.value}</Code>}
    </li>
  );
}
