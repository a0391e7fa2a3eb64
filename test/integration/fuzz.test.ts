/**
 * Random and hostile requests. Whatever comes in: an answer to each request in its order, no 5xx, errors that say why, no hang, no
 * memory that grows without bound, nothing accepted that Postgres then refuses, and the next good event is stored.
 *
 * FUZZ_REQUESTS (3,000) says how many, FUZZ_SEED repeats a run.
 */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { randomOf } from "../../dev/simulate/random.ts";
import { drain } from "../../lib/drain/drain.ts";
import { BODY_MAX_BYTES } from "../fuzz/bodies.ts";
import { conversationOf, hold } from "../fuzz/conversation.ts";
import { STREAMS } from "../fuzz/events.ts";
import { faultsOf } from "../fuzz/faults.ts";
import type { RawAnswer } from "../raw-client.ts";
import { type Ingest, serveIngest } from "./test-ingest.ts";
import { openWorld, type World, whereabouts } from "./test-stack.ts";

const REQUESTS = Number(process.env.FUZZ_REQUESTS || 3000);
const SEED = Number(process.env.FUZZ_SEED || Math.floor(Math.random() * 2 ** 31));
const AT_ONCE = 16;

let world: World;
let ingest: Ingest;
beforeAll(async () => {
  world = await openWorld();
  ingest = await serveIngest(world, {
    ...{ bodyMaxBytes: BODY_MAX_BYTES, keyEventsPerSecond: 10_000_000 },
    corsOrigins: ["https://app.example"],
  });
});
beforeEach(() => world.reset());
afterAll(async () => {
  await ingest.close();
  await world.close();
});

/** Collects all garbage that can be collected, and says what is left, in megabytes. */
function heapMegabytes(): number {
  setFlagsFromString("--expose-gc");
  const gc = runInNewContext("gc") as () => void;
  gc();
  gc();
  return process.memoryUsage().heapUsed / 1e6;
}

/** What was seen of a run, and what was accepted. */
class Seen {
  readonly faults: string[] = [];
  readonly statuses: Record<string, number> = {};
  readonly accepted = new Set<string>();
  /** The latest ids answered 201, by stream. */
  readonly stored = new Map(STREAMS.map((stream) => [stream, [] as string[]]));
  largestBytes = 0;

  note({ status, body }: RawAnswer, path: string): void {
    this.statuses[status] = (this.statuses[status] ?? 0) + 1;
    this.largestBytes = Math.max(this.largestBytes, body.length);
    if (status !== 201 && status !== 202) return;
    const { ids } = JSON.parse(body) as { ids: string[] };
    for (const id of ids) this.accepted.add(id);
    const stored = this.stored.get(/^\S+ \/v1\/(\w+)/.exec(path)?.[1] ?? "");
    if (status === 201) stored?.splice(0, Math.max(0, stored.length - 100), ...ids.slice(0, 3));
  }
}

/** Says so many requests, some connections at once. */
async function fuzz(seen: Seen, every: number, between: () => Promise<void>): Promise<void> {
  const port = Number(new URL(ingest.url).port);
  let next = 0;
  let said = 0;
  const worker = async () => {
    while (said < REQUESTS && seen.faults.length < 10) {
      const index = next++;
      const conversation = conversationOf(randomOf(SEED + index * 7919), `f${index}`, seen.stored);
      const isTurn = Math.floor(said / every) < Math.floor((said + conversation.requests.length) / every);
      said += conversation.requests.length;
      const held = await hold(port, conversation);
      for (const fault of faultsOf(conversation, held, seen.stored))
        seen.faults.push(`connection ${index}: ${fault}`);
      for (const [i, answer] of held.answers.entries())
        seen.note(answer, conversation.requests[i]?.bytes.subarray(0, 100).toString("latin1") ?? "");
      if (isTurn) await between();
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}

test(`${REQUESTS} random and hostile requests do no harm`, { timeout: 120_000 + REQUESTS * 30 }, async () => {
  console.log(`FUZZ_SEED=${SEED} FUZZ_REQUESTS=${REQUESTS}`);
  const seen = new Seen();
  const heaps: number[] = [];
  const good = async (payload: unknown) => {
    const answer = await ingest.post("events", { type: "between", payload }, { query: "?ack=stored" });
    expect(answer.status).toBe(201);
  };
  await fuzz(seen, Math.ceil(REQUESTS / 10), async () => {
    heaps.push(heapMegabytes());
    world.said.length = 0;
    await drain(world.supervisor(), {}); // as a tick would
    await good(heaps.length);
  });
  const { faults, statuses, accepted, largestBytes } = seen;
  console.log({ statuses, largestBytes, heaps: heaps.map(Math.round) });

  expect(faults).toEqual([]);
  expect((statuses[201] ?? 0) + (statuses[202] ?? 0)).toBeGreaterThan(REQUESTS / 10); // not all was refused
  expect(Math.max(...heaps.slice(2))).toBeLessThan(Math.max(heaps[1] ?? 0, 50) * 2);
  await drain(world.supervisor(), {});
  const all = new Set<string>();
  for (const stream of STREAMS) {
    const { stored, dead, held, buffered } = await whereabouts(world, stream);
    for (const id of stored) all.add(id);
    expect({ stream, dead, held, buffered }).toEqual({ stream, dead: [], held: [], buffered: [] });
  }
  expect([...accepted].filter((id) => !all.has(id))).toEqual([]);
  const twice = await world.sql.query(
    "select payload from events where type = 'good' group by payload having count(*) > 1",
  );
  expect(twice.rows).toEqual([]);
  await good("last");
});
