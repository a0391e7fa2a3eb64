/** What people would pick instead, each accepting single posts at 64 connections while its workers store them. */
import { type Bench, report } from "../bench-context.ts";
import { bullmq, direct, naive, pgBoss, spillway, spillwayOverTcp } from "../candidates.ts";
import { figuresOf } from "../figures.ts";
import { measure } from "../measure.ts";

export async function alternatives(bench: Bench): Promise<void> {
  for (const kind of ["gps", "webhooks"] as const)
    for (const candidate of [direct, naive, bullmq, pgBoss, spillway, spillwayOverTcp]) {
      const measured = await measure(bench.stack, candidate, {
        kind,
        phases: [{ seconds: bench.settings.seconds }],
      });
      const name = `${candidate.name} (${candidate.speaks}), ${kind}`;
      report(bench, "alternatives", name, figuresOf(measured), measured.conservation);
    }
}
