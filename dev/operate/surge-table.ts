/** Prints the lines of a surge as a table that grows, for whoever has no browser. */
import { styleText } from "node:util";
import type { SurgeLine, SurgeSecond } from "../../lib/contract/surge.ts";

const COLUMNS = [
  { heading: "target", width: 8 },
  { heading: "second", width: 6 },
  { heading: "offered", width: 8 },
  { heading: "late ms", width: 7 },
  { heading: "answered", width: 9 },
  { heading: "errors", width: 7 },
  { heading: "p50 ms", width: 9 },
  { heading: "p99 ms", width: 9 },
  { heading: "p99 in all", width: 10 },
  { heading: "connections", width: 11 },
  { heading: "stored", width: 8 },
  { heading: "waiting", width: 8 },
] as const;

export class SurgeTable {
  readonly #print: (text: string) => void;
  #part: string | undefined;

  constructor(print: (text: string) => void) {
    this.#print = print;
  }

  print(line: SurgeLine): void {
    if (line.kind === "second") this.#second(line);
    if (line.kind === "step" || line.kind === "calibrated") this.#print(line.text);
    if (line.kind === "conserved") this.#print(`${line.target}: ${line.text}\n`);
    if (line.kind === "ended") this.#print(line.text);
  }

  #second(line: SurgeSecond): void {
    const part = `${line.target} ${line.part}`;
    if (part !== this.#part) {
      const headings = COLUMNS.map(({ heading }) => heading);
      if (line.part !== "settling") this.#print(styleText("bold", row(headings)));
      this.#part = part;
    }
    this.#print(row(cellsOf(line)));
  }
}

const cellsOf = (line: SurgeSecond): string[] => [
  line.part === "settling" ? "settling" : line.target,
  `${line.second}`,
  whole(line.offered),
  whole(Math.round(line.lateMs)),
  whole(line.answered),
  whole(line.errors),
  ms(line.p50Ms),
  ms(line.p99Ms),
  ms(line.allP99Ms),
  `${line.connections} of ${line.connectionsMax}`,
  whole(line.stored),
  whole(line.waiting),
];

const row = (cells: readonly string[]): string =>
  cells
    .map((cell, i) => (i === 0 ? cell.padEnd(COLUMNS[0].width) : cell.padStart(COLUMNS[i]?.width ?? 0)))
    .join("  ");

const whole = (count: number): string => count.toLocaleString("en-US");

const ms = (value: number | null): string =>
  value === null ? "–" : value.toLocaleString("en-US", { maximumFractionDigits: value < 10 ? 1 : 0 });
