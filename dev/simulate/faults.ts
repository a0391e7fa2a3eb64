/**
 * The faults of a simulation, and how each is repaired. A fault ends before the next one begins. The faults are: a killed
 * process; a server that is away for a while; a network that refuses, hangs, cuts, lies or is slow; an insert that commits
 * after its client gave up; Redis restored to its state of some seconds ago. Beside them: faults of a table (table-faults.ts), and
 * refusals of a disk and of a proxy (answer-faults.ts).
 */
import { cp, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Fault } from "../stack/breakable-server.ts";
import type { Stack } from "../stack/stack.ts";
import { ANSWER_FAULTS } from "./answer-faults.ts";
import type { Ledger } from "./ledger.ts";
import type { Random } from "./random.ts";
import { TABLE_FAULTS } from "./table-faults.ts";

export interface Scene {
  stack: Stack;
  dataDir: string;
  ledger: Ledger;
  random: Random;
}

/** Inflicts a fault, waits, and repairs it. */
export type Inflict = (scene: Scene) => Promise<void>;

/** How long a condition lasts, in milliseconds. */
const lasting = (random: Random) => random.whole(300, 3000);

const kill =
  (what: "ingest" | "supervisor"): Inflict =>
  async ({ stack }) =>
    stack[what].kill("SIGKILL"); // it is started again, as Cloud Run would

/** A network that does this to a share of its requests for a while. */
const network =
  (which: "upstashBridge" | "neonBridge", fault: Fault): Inflict =>
  async ({ stack, random }) => {
    const share = random.pick([0.2, 0.6, 1]);
    stack[which].setFault(() => (random.next() < share ? fault : undefined));
    await sleep(lasting(random));
    stack[which].setFault(undefined);
  };

const away =
  (...bridges: ("upstashBridge" | "neonBridge")[]): Inflict =>
  async ({ stack, random }) => {
    for (const bridge of bridges) stack[bridge].setFault(() => ({ kind: "refuse" }));
    await sleep(lasting(random) * 2);
    for (const bridge of bridges) stack[bridge].setFault(undefined);
  };

/** Redis comes back as it was some seconds ago: its folder is copied, and later put in place of its own. */
async function restoreRedis({ stack, dataDir, ledger, random }: Scene): Promise<void> {
  const folder = join(dataDir, "redis");
  const backup = join(dataDir, "redis-backup");
  await rm(backup, { recursive: true, force: true });
  ledger.isAtRisk = true;
  await cp(folder, backup, { recursive: true });
  await sleep(random.whole(500, 3000));
  stack.upstashBridge.setFault(() => ({ kind: "refuse" })); // nothing is acknowledged from here on
  await sleep(100); // what is under way is answered
  await stack.restartRedis("SIGKILL", async () => {
    await rm(folder, { recursive: true, force: true });
    await rename(backup, folder);
  });
  ledger.excuseAtRisk();
  stack.upstashBridge.setFault(undefined);
}

const networkFaults: Fault[] = [
  { kind: "refuse" },
  { kind: "hang", forMs: 15_000 },
  { kind: "cut-before" },
  { kind: "cut-after" },
  { kind: "status-429" },
  { kind: "status-500" },
  { kind: "nonsense" },
  { kind: "truncated" },
  { kind: "slow", delayMs: 400 },
];

/** Every fault by name. */
export const FAULTS: Record<string, Inflict> = {
  "kill ingest": kill("ingest"),
  "kill supervisor": kill("supervisor"),
  "kill redis": ({ stack }) => stack.restartRedis("SIGKILL"),
  "kill postgres": ({ stack }) => stack.restartPostgres("SIGKILL"),
  "redis away": away("upstashBridge"),
  "postgres away": away("neonBridge"),
  "both away": away("upstashBridge", "neonBridge"),
  "redis restored from some seconds ago": restoreRedis,
  "inserts that commit late": network("neonBridge", { kind: "late", delayMs: 2500 }),
  ...Object.fromEntries(
    networkFaults.map((fault) => [`redis: ${fault.kind}`, network("upstashBridge", fault)]),
  ),
  ...Object.fromEntries(
    networkFaults.map((fault) => [`postgres: ${fault.kind}`, network("neonBridge", fault)]),
  ),
  ...TABLE_FAULTS,
  ...ANSWER_FAULTS,
};

/**
 * `count` faults in an order that the seed decides; every kind comes before any comes twice. `only`: a part of their names.
 */
export function schedule(random: Random, count: number, only = ""): string[] {
  const known = Object.keys(FAULTS).filter((name) => name.includes(only));
  const names: string[] = [];
  while (names.length < count) {
    const round = [...known];
    while (round.length > 0) names.push(...round.splice(random.whole(0, round.length - 1), 1));
  }
  return names.slice(0, count);
}
