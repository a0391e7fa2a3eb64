/**
 * For any sequence of faults: every event ends settled or waits, never both, never twice, and what the server has stored is what the client was
 * told. CLIENT_RUNS sets how many sequences (default 60).
 */
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { makeClient } from "../src/client.ts";
import type { Outcome } from "../src/outcome.ts";
import { memory } from "../src/stores/memory.ts";
import { type Fault, type FaultServer, startFaultServer } from "./fault-server.ts";

const RUNS = Number(process.env.CLIENT_RUNS ?? 60);
let server: FaultServer;
beforeAll(async () => {
  server = await startFaultServer();
});
afterAll(() => server.close());

const PACE = { backOffBaseMs: 4, backOffMaxMs: 16, requestMs: 120, heldMs: 15, beatMs: 5, watchMs: 20 };

type Step =
  | { kind: "send"; stream: "a" | "b"; count: number; size: number; ack?: "stored" }
  | { kind: "fault"; fault: Fault }
  | { kind: "flush" }
  | { kind: "pause"; ms: number }
  | { kind: "restart" };

const kinds = [
  "503",
  "cut-before",
  "cut-after",
  "413",
  "401",
  "403",
  "422",
  "500",
  "partial",
  "400",
  "portal",
  "proxy-404",
] as const;
const fault: fc.Arbitrary<Fault> = fc.oneof(
  { weight: 12, arbitrary: fc.constantFrom(...kinds).map((kind) => ({ kind })) },
  { weight: 1, arbitrary: fc.constant<Fault>({ kind: "hang" }) },
  { weight: 2, arbitrary: fc.constant<Fault>({ kind: "429", retryAfterSeconds: 0 }) },
);
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant("send" as const),
      stream: fc.constantFrom("a" as const, "b" as const),
      count: fc.integer({ min: 1, max: 25 }),
      size: fc.constantFrom(0, 10, 500),
    }),
  },
  { weight: 6, arbitrary: fault.map((one): Step => ({ kind: "fault", fault: one })) },
  { weight: 1, arbitrary: fc.constant<Step>({ kind: "flush" }) },
  { weight: 2, arbitrary: fc.integer({ min: 1, max: 20 }).map((ms): Step => ({ kind: "pause", ms })) },
  { weight: 1, arbitrary: fc.constant<Step>({ kind: "restart" }) },
);

async function run(steps: readonly Step[]): Promise<void> {
  server.stored.clear();
  server.faults.length = 0;
  const store = memory();
  const sent = new Set<string>();
  const ended = new Map<string, Outcome>();
  let told = 0;
  let mostInFlight = 0;
  const open = () => {
    const inFlight = new Map<string, number>();
    return makeClient(
      {
        url: server.url,
        fetch: async (url, init) => {
          const lane = String(url);
          const count = (inFlight.get(lane) ?? 0) + 1;
          mostInFlight = Math.max(mostInFlight, count);
          inFlight.set(lane, count);
          return fetch(url, init).finally(() => inFlight.set(lane, 0));
        },
        key: () => "key",
        store,
        batch: { events: 10, bytes: 3000, ms: 2 },
        onHeld: () => {},
        onOutcome: (outcome) => {
          told++; // an error that is thrown here would only be printed
          ended.set(outcome.id, outcome);
        },
      },
      PACE,
    );
  };
  let client = open();
  const outcomes: Promise<Outcome>[] = [];
  for (const one of steps) {
    if (one.kind === "send")
      for (let n = 0; n < one.count; n++) {
        const { id, outcome } = client.send(one.stream, { n, text: "x".repeat(one.size) });
        sent.add(id);
        outcomes.push(outcome);
      }
    else if (one.kind === "fault") server.faults.push(one.fault);
    else if (one.kind === "flush") await client.flush({ withinMs: 30 });
    else if (one.kind === "pause") await new Promise((resolve) => setTimeout(resolve, one.ms));
    else {
      await client.close();
      client = open();
      await new Promise((resolve) => setTimeout(resolve, 0)); // it takes the queue over
    }
    expect(client.waiting.events + ended.size).toBe(sent.size);
  }
  expect(await client.flush({ withinMs: 100_000 })).toBe(true);
  expect(client.waiting).toEqual({ events: 0, bytes: 0, oldestMs: 0 });
  expect([...ended.keys()].sort()).toEqual([...sent].sort());
  expect(told).toBe(sent.size);
  expect(mostInFlight).toBeLessThanOrEqual(1);
  const accepted = [...ended.values()].filter(({ kind }) => kind === "buffered" || kind === "stored");
  const refused = [...ended.values()].filter(({ kind }) => kind === "refused");
  expect(accepted.length + refused.length).toBe(sent.size);
  // What was refused may be stored: an answer that said so may have been lost before.
  for (const { id } of accepted) expect(server.stored.has(id)).toBe(true);
  for (const id of server.stored.keys()) expect(sent.has(id)).toBe(true);
  await client.close();
  for (const [queue, beat] of await store.queues())
    expect(await store.take(queue, beat, "reader")).toEqual([]);
}

test("whatever the server does, each event ends once or waits, and what was told is what is stored", async () => {
  await fc.assert(fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 30 }), run), { numRuns: RUNS });
});
