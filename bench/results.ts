/** What was measured: for each scenario and row (a candidate under one load) a list of numbers, one per round. */
export type Figures = Record<string, number>;

export interface Row {
  name: string;
  rounds: Figures[];
}

export class Results {
  readonly #scenarios = new Map<string, Map<string, Row>>();
  /** What a run's conservation check had to say, where it did not hold. */
  readonly losses: string[] = [];
  checksOfConservation = 0;

  add(scenario: string, name: string, figures: Figures): void {
    const rows = this.#scenarios.get(scenario) ?? new Map<string, Row>();
    this.#scenarios.set(scenario, rows);
    const row = rows.get(name) ?? { name, rounds: [] };
    rows.set(name, row);
    row.rounds.push(figures);
  }

  rows(scenario: string): Row[] {
    return [...(this.#scenarios.get(scenario)?.values() ?? [])];
  }

  /** A figure's median over the rounds; undefined where it was not measured. */
  median(scenario: string, name: string, figure: string): number | undefined {
    const row = this.#scenarios.get(scenario)?.get(name);
    return row && medianOf(row, figure);
  }

  toJSON(): Record<string, Row[]> {
    return Object.fromEntries([...this.#scenarios].map(([name, rows]) => [name, [...rows.values()]]));
  }
}

export function medianOf(row: Row, figure: string): number | undefined {
  return median(
    row.rounds.map((figures) => figures[figure]).filter((value) => Number.isFinite(value)) as number[],
  );
}

/** The middle one of some numbers. */
function median(values: readonly number[]): number | undefined {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  const [low, high] = [sorted[Math.ceil(middle) - 1], sorted[Math.floor(middle)]];
  return low === undefined || high === undefined ? undefined : (low + high) / 2;
}
