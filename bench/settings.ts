/** The command line: `npm run bench -- --rounds 2 --seconds 4 --only ingest,drain --backlog 10000`. */
import { parseArgs } from "node:util";

export const SCENARIOS = [
  "floor",
  "ingest",
  "alternatives",
  "drain",
  "looking-on",
  "upsert",
  "trouble",
  "hostile",
  "noisy",
  "steady",
  "surge",
  "costs",
] as const;
export type ScenarioName = (typeof SCENARIOS)[number];

export interface Settings {
  rounds: number;
  /** Of each measurement. */
  seconds: number;
  only: readonly ScenarioName[];
  /** Backlogs to drain, in events. */
  backlogs: readonly number[];
  /** Where results go. */
  out: string;
}

/** Reads the flags. Throws one sentence for people. */
export function readSettings(args: string[]): Settings {
  const { values } = parseArgs({
    args,
    options: {
      rounds: { type: "string", default: "5" },
      seconds: { type: "string", default: "10" },
      only: { type: "string", default: SCENARIOS.join(",") },
      backlog: { type: "string", default: "10000,100000,1000000" },
      out: { type: "string", default: "bench/results" },
    },
  });
  const only = values.only.split(",").map((name) => name.trim());
  const unknown = only.find((name) => !SCENARIOS.includes(name as ScenarioName));
  if (unknown !== undefined)
    throw new Error(`--only: expected some of ${SCENARIOS.join(",")}, got "${unknown}"`);
  return {
    rounds: numberOf("--rounds", values.rounds),
    seconds: numberOf("--seconds", values.seconds),
    only: only as ScenarioName[],
    backlogs: values.backlog.split(",").map((text) => numberOf("--backlog", text)),
    out: values.out,
  };
}

function numberOf(flag: string, text: string): number {
  const number = Number(text);
  if (Number.isInteger(number) && number > 0) return number;
  throw new Error(`${flag}: expected a whole number from 1, got "${text}"`);
}
