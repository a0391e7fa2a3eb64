/** Ingest: the empty function, then Spillway with the drain paused and running, on the same bodies. */

import type { Kind } from "../../dev/load/payloads.ts";
import { type Bench, report } from "../bench-context.ts";
import { type Candidate, empty, spillway, spillwayPaused } from "../candidates.ts";
import { figuresOf } from "../figures.ts";
import { measure } from "../measure.ts";

interface Load {
  name: string;
  candidate: Candidate;
  kind: Kind;
  perPost?: number;
  connections?: number;
}

const loads: Load[] = [
  { name: "empty function, GPS", candidate: empty, kind: "gps" },
  { name: "Spillway paused, GPS", candidate: spillwayPaused, kind: "gps" },
  { name: "Spillway draining, GPS", candidate: spillway, kind: "gps" },
  { name: "Spillway paused, 100 GPS a post", candidate: spillwayPaused, kind: "gps", perPost: 100 },
  { name: "empty function, webhooks", candidate: empty, kind: "webhooks" },
  { name: "Spillway paused, webhooks", candidate: spillwayPaused, kind: "webhooks" },
  { name: "Spillway draining, webhooks", candidate: spillway, kind: "webhooks" },
  // A post is 1 MB: 64 at once would measure how 64 MB are shed.
  {
    name: "Spillway paused, 100 webhooks a post, 8 connections",
    candidate: spillwayPaused,
    kind: "webhooks",
    perPost: 100,
    connections: 8,
  },
];

export async function ingest(bench: Bench): Promise<void> {
  for (const { name, candidate, ...job } of loads) {
    const measured = await measure(bench.stack, candidate, {
      ...job,
      phases: [{ seconds: bench.settings.seconds }],
    });
    report(
      bench,
      "ingest",
      name,
      figuresOf(measured),
      candidate === empty ? undefined : measured.conservation,
    );
  }
}
