/** The lines that `npm start` prints of what happens: one thing a line, and no value of an event in it. */
import { styleText } from "node:util";
import type { StreamReport } from "../../lib/drain/drain-report.ts";

/** Colours a word, or leaves it as it is. */
export type Paint = (colour: "red" | "green" | "yellow", word: string) => string;

/** Colours only on a terminal, and not if the environment has NO_COLOR. */
export function paintFor(output: { isTTY?: boolean }, env: NodeJS.ProcessEnv): Paint {
  if (!output.isTTY || env.NO_COLOR) return (_, word) => word;
  return (colour, word) => styleText(colour, word, { validateStream: false });
}

/** Sums by name, as JSON has them. */
export type Sums = Readonly<Record<string, number>>;

/** Of at most one second: `42 accepted in 1 s: orders 40, visits 2`. */
export const describeAccepted = (byStream: Sums): string =>
  `${totalOf(byStream)} accepted in 1 s: ${describeSums(byStream)}`;

/** Of the refusals that are not told one by one: `and 994 more: missing-key 994`. */
export const describeMore = (byCode: Sums): string => `and ${totalOf(byCode)} more: ${describeSums(byCode)}`;

const totalOf = (sums: Sums): number => Object.values(sums).reduce((total, count) => total + count, 0);

/** The largest first. */
const describeSums = (sums: Sums): string =>
  Object.entries(sums)
    .sort(([a, more], [b, less]) => less - more || a.localeCompare(b))
    .map(([name, count]) => `${name} ${count}`)
    .join(", ");

export interface Refusal {
  /** `POST /v1/orders` */
  route: string;
  status: number;
  code: string;
  sentence: string;
}

export const describeRefusal = ({ route, status, code, sentence }: Refusal): string =>
  `${route}  ${status} ${code}  ${sentence}`;

/** Says what a drain call has done; undefined: nothing. */
export function describeDrain(reports: readonly StreamReport[], durationMs: number): string | undefined {
  const told = reports.filter((one) => countOf(one) > 0).map(describeStream);
  return told.length === 0 ? undefined : `${told.join("; ")}  (${Math.round(durationMs)} ms)`;
}

const countOf = ({ stored, duplicates, superseded, held, dead }: StreamReport): number =>
  stored + duplicates + superseded + held + dead;

function describeStream(report: StreamReport): string {
  const { stream, batches, stored, duplicates, differing, superseded, held, dead, remaining } = report;
  const parts = [
    `${stored} stored in ${batches} ${batches === 1 ? "batch" : "batches"}`,
    duplicates > 0 &&
      `${duplicates} there already${differing > 0 ? ` (${differing} with other content)` : ""}`,
    superseded > 0 && `${superseded} superseded`,
    held > 0 && `${held} held`,
    dead > 0 && `${dead} to dead letters`,
    remaining !== null && remaining > 0 && `${remaining} left`,
  ];
  return `${stream}: ${parts.filter(Boolean).join(", ")}`;
}
