/**
 * Proof that an event is at fault. A SQLSTATE alone proves nothing, because a table can refuse every row with any of them.
 * Proof is a *witness*: the row was refused, another row of its stream was newly stored, and it was refused again, in one statement
 * (isolate.ts). For a held letter a row that was stored since it was set aside is a weak witness.
 */
import { isForSomebodyToMend, POLICY } from "./judge.ts";
import type { Refused } from "./written.ts";

/** Refusals from which on a witness is proof though the code does not judge the row's data, or the witness is weak. */
const REFUSALS = 6;
/** Their pauses take so long; deployments and mended letters make them shorter, but not the time that a table has to be mended. */
const WITHIN_MS = 1_800_000;
const FOREIGN_KEY = "23503";
/** A child may be taken before its parent, because LPOP takes the newest first. So a foreign key has this long to be met. */
const PARENT_WITHIN_MS = 600_000;

/** What is known of an event that was refused before. */
export interface History {
  /** Refusals, this one included. */
  tries: number;
  /** How long it has been set aside, in milliseconds. */
  heldForMs: number;
}

/** An event that is refused for the first time. */
export const FIRST: History = { tries: 1, heldForMs: 0 };

/** Whether the row refers to a row that may still come. */
export const isForeignKey = ({ sqlstate }: Pick<Refused, "sqlstate">): boolean => sqlstate === FOREIGN_KEY;

/** Whether a refusal proves that the event is at fault: it is dead then, and else held. */
export function isProven(
  { sqlstate, judgesData, speaksOfTable, isWitnessed }: Omit<Refused, "row">,
  { tries, heldForMs }: History,
): boolean {
  if (!isWitnessed || speaksOfTable) return false;
  if (sqlstate === FOREIGN_KEY && heldForMs < PARENT_WITHIN_MS) return false;
  return judgesData || (tries >= REFUSALS && heldForMs >= WITHIN_MS);
}

/**
 * Whether a refusal speaks of the table rather than of the row: nothing was stored beside it, and its code does not judge data, or
 * may be a policy that forbids every row; or the table has no place for such rows, whatever was stored beside it.
 */
export const pointsAtTable = (refused: Omit<Refused, "row">): boolean => {
  const { isWitnessed, judgesData, sqlstate } = refused;
  return isForSomebodyToMend(refused) || (!isWitnessed && (!judgesData || sqlstate === POLICY));
};
