/** A surge, open loop so that waiting counts: 50 → 5,000 → 50 requests a second offered to direct and to Spillway. */

import type { LoadSecond } from "../../dev/load/load-job.ts";
import { type Bench, report } from "../bench-context.ts";
import { direct, spillway } from "../candidates.ts";
import { figuresOf } from "../figures.ts";
import { measure } from "../measure.ts";

const LOW = 50;
const HIGH = 5000;

/** Second by second, of the last round. */
export const surgeSeconds = new Map<string, LoadSecond[]>();

export async function surge(bench: Bench): Promise<void> {
  if (bench.round % 2 === 1) return; // direct needs a minute to get over it
  const { seconds } = bench.settings;
  for (const candidate of [direct, spillway]) {
    const measured = await measure(bench.stack, candidate, {
      kind: "gps",
      phases: [
        { seconds: seconds / 2, perSecond: LOW },
        { seconds, perSecond: HIGH },
        { seconds, perSecond: LOW },
      ],
      connections: 400,
      warmupSeconds: 0,
      timeoutMs: 30_000,
    });
    surgeSeconds.set(candidate.name, measured.load.perSecond);
    report(bench, "surge", candidate.name, figuresOf(measured), measured.conservation);
  }
}
