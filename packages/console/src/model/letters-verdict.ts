/**
 * What is said of dead and held letters. While their panel is open, Postgres' count; while it is shut, that of the last time, and what the
 * drain has set aside since.
 */
import type { LiveLetters } from "../../../../lib/contract/live.ts";
import { clockOf, countOf } from "../phrases.ts";
import type { LiveState } from "./live-state.ts";

type Counted = NonNullable<LiveLetters["streams"]>[number];

/** A sentence for each stream that has any, dead ones before held ones. */
export function sayLetters(state: LiveState): string[] {
  if (state.letters) return state.letters.flatMap(sayCounted);
  const { counted, since } = state.setAside;
  const names = new Set([...(counted?.streams ?? []).map(({ stream }) => stream), ...since.keys()]);
  return [...names].flatMap((stream) => sayShut(state, stream));
}

function sayCounted({ stream, dead, held, heldReason }: Counted): string[] {
  if (dead > 0)
    return [`${countOf(dead, "dead letter")} of ${stream} ${dead === 1 ? "waits" : "wait"} for you.`];
  const why = heldReason === null ? "" : `: ${heldReason}`;
  return held > 0
    ? [`${countOf(held, "event")} of ${stream} ${held === 1 ? "is" : "are"} held and tried again${why}.`]
    : [];
}

/** `2 dead letters of orders waited at 10:07, and 3 events became dead letters since.` */
function sayShut({ setAside: { counted, since }, hello, missed }: LiveState, stream: string): string[] {
  const before = counted?.streams.find((one) => one.stream === stream);
  const { dead, held } = since.get(stream) ?? { dead: 0, held: 0 };
  const least = missed > 0 ? "at least " : "";
  const countedMs = counted?.atMs ?? 0;
  const began = `since ${clockOf(Math.max(countedMs, Date.parse(hello?.sinceAt ?? "")))}`;
  if (before && before.dead > 0) {
    const waited = `${countOf(before.dead, "dead letter")} of ${stream} waited at ${clockOf(countedMs)}`;
    return [dead > 0 ? `${waited}, and ${least}${sayDied(dead, "")} ${began}.` : `${waited}.`];
  }
  if (dead > 0) return [capital(`${least}${sayDied(dead, ` of ${stream}`)} ${began}.`)];
  if (held > 0) return [capital(`${least}${sayHeld(held, stream)} ${began}, to be tried again.`)];
  return before && before.held > 0 ? [`${sayHeld(before.held, stream)} at ${clockOf(countedMs)}.`] : [];
}

const sayHeld = (held: number, stream: string): string =>
  `${countOf(held, "event")} of ${stream} ${held === 1 ? "was" : "were"} held`;

const sayDied = (dead: number, of: string): string =>
  `${countOf(dead, "event")}${of} became ${dead === 1 ? "a dead letter" : "dead letters"}`;

const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);
