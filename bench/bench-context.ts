/** What a scenario gets: the stack, the settings, and where its figures go. */
import type { Conservation } from "./conservation.ts";
import type { Figures, Results } from "./results.ts";
import type { Settings } from "./settings.ts";
import type { Stack } from "./stack.ts";

export interface Bench {
  stack: Stack;
  settings: Settings;
  results: Results;
  /** Counted from 0. */
  round: number;
}

/** A scenario does one round of all its measurements, one candidate after the other. */
export type Scenario = (bench: Bench) => Promise<void>;

/** Keeps a row's figures, and says them, since a whole run takes a while. */
export function report(
  { results, round }: Bench,
  scenario: string,
  name: string,
  figures: Figures,
  conservation?: Conservation,
): void {
  results.add(scenario, name, figures);
  if (conservation) {
    results.checksOfConservation += 1;
    if (!conservation.isKept)
      results.losses.push(`${scenario}, ${name}, round ${round + 1}: ${JSON.stringify(conservation)}`);
  }
  const rate = figures.eventsPerSecond ?? figures.storedPerSecond ?? 0;
  console.error(`  round ${round + 1} · ${scenario} · ${name}: ${Math.round(rate)} events/s`);
}
