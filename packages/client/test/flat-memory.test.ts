/** A client whose server is away, for as long as it takes: its memory is bounded. */
import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const SENDS = 1_000_000;

test(`memory is flat over ${SENDS} sends with the server away, and each of them has its end or waits`, () => {
  const script = fileURLToPath(new URL("run/many-sends.ts", import.meta.url));
  const out = execFileSync(
    process.execPath,
    ["--expose-gc", "--max-old-space-size=200", "--import", "tsx", script, String(SENDS)],
    { encoding: "utf8" },
  );
  const { heapsMb, sent, dropped, waiting, bytes } = JSON.parse(out) as Record<string, number> & {
    heapsMb: number[];
  };
  expect((dropped ?? 0) + (waiting ?? 0)).toBe(sent);
  expect(bytes).toBeLessThanOrEqual(5_000_000);
  // From the second tenth on the queue is full: what is held after that is not more than then, by a small part.
  expect(Math.max(...heapsMb.slice(2))).toBeLessThan((heapsMb[1] ?? 0) * 1.15 + 2);
});
