/**
 * The rate of a key over ingest instances in processes of their own: some begin at once in the middle, and one is frozen with its share,
 * as Cloud Run takes CPU away. In any minute, what passes is within 10 % of the rate.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type FunctionProcess, startFunction } from "../../dev/stack/function-process.ts";
import { findFreePorts } from "../../dev/stack/ports.ts";
import { testStreams } from "../streams/run/test-streams.ts";
import { openWholeStack, type WholeStack } from "./whole-stack.ts";

/** SPILLWAY_RATE_INSTANCES=20 SPILLWAY_RATE_SECONDS=200 for the real thing. */
const INSTANCES = Number(process.env.SPILLWAY_RATE_INSTANCES ?? 6);
const SECONDS = Number(process.env.SPILLWAY_RATE_SECONDS ?? 72);
const PER_SECOND = 30;
/** What is offered, as a multiple of the rate. */
const OFFERED = 2;
const MINUTE_MS = 60_000;

let whole: WholeStack;
let instances: FunctionProcess[] = [];
beforeAll(async () => {
  whole = await openWholeStack(1000);
  const { stack } = whole;
  const env = stack.serverSettings;
  for (const port of await findFreePorts(INSTANCES - 1))
    instances.push(await startFunction({ target: "ingest", port, source: testStreams.source, env }));
  instances = [stack.ingest, ...instances];
}, 300_000);
afterAll(async () => {
  for (const one of instances) one.kill("SIGCONT");
  await Promise.all(instances.slice(1).map((one) => one.stop()));
  await whole?.close();
});

async function createKey(): Promise<string> {
  const response = await fetch(`${whole.stack.supervisorUrl}/keys`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ action: "create", name: "limited", eventsPerSecond: PER_SECOND }),
  });
  return ((await response.json()) as { key: string }).key;
}

/** When each event passed, in milliseconds since the first request, and its id. */
const passed: { atMs: number; id: string }[] = [];
const statuses = new Set<number>();

async function post(url: string, key: string, startedAtMs: number): Promise<void> {
  const response = await fetch(`${url}/v1/locations`, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: `Bearer ${key}` },
    body: JSON.stringify({ userId: "u", lat: 1, lng: 2, recordedAt: new Date().toISOString() }),
  });
  const { ids = [] } = (await response.json()) as { ids?: string[] };
  statuses.add(response.status);
  for (const id of ids) passed.push({ atMs: performance.now() - startedAtMs, id });
}

/** The fewest and the most that passed in any minute, as parts of the rate. */
function inAnyMinute(): { least: number; most: number } {
  const times = passed.map(({ atMs }) => atMs).sort((a, b) => a - b);
  let [least, most] = [Number.POSITIVE_INFINITY, 0];
  for (let fromMs = 0; fromMs + MINUTE_MS <= SECONDS * 1000; fromMs += 50) {
    const count = times.filter((atMs) => atMs >= fromMs && atMs < fromMs + MINUTE_MS).length;
    least = Math.min(least, count / (PER_SECOND * 60));
    most = Math.max(most, count / (PER_SECOND * 60));
  }
  return { least, most };
}

test(`a rate is kept within 10 % in any minute over ${INSTANCES} instances`, async () => {
  const key = await createKey();
  const half = Math.floor(INSTANCES / 2);
  const frozen = instances[0] as FunctionProcess;
  const atOf = (part: number) => part * SECONDS * 1000;
  const frozenFromMs = atOf(0.5);
  const frozenToMs = atOf(0.75);
  /** Whom requests go to: half of the instances first; the others all begin at one moment. */
  const running = (atMs: number) => {
    const all = atMs < atOf(0.25) ? instances.slice(0, half) : instances;
    return atMs >= frozenFromMs && atMs < frozenToMs ? all.filter((one) => one !== frozen) : all;
  };
  const startedAtMs = performance.now();
  const sending: Promise<void>[] = [];
  let isFrozen = false;
  for (let sent = 0; ; sent++) {
    const dueAtMs = (sent * 1000) / (PER_SECOND * OFFERED);
    if (dueAtMs >= SECONDS * 1000) break;
    await sleep(Math.max(0, dueAtMs - (performance.now() - startedAtMs)));
    const shouldFreeze = dueAtMs >= frozenFromMs && dueAtMs < frozenToMs;
    if (shouldFreeze !== isFrozen) frozen.kill(shouldFreeze ? "SIGSTOP" : "SIGCONT");
    isFrozen = shouldFreeze;
    const to = running(dueAtMs);
    sending.push(post((to[sent % to.length] as FunctionProcess).url, key, startedAtMs));
  }
  await Promise.all(sending);

  const { least, most } = inAnyMinute();
  console.log(
    `  ${INSTANCES} instances: from ${least.toFixed(3)} to ${most.toFixed(3)} of the rate in any minute`,
  );
  expect(most).toBeLessThanOrEqual(1.1);
  expect(least).toBeGreaterThanOrEqual(0.9);
  expect([...statuses].sort()).toEqual([202, 429]);

  await whole.drainAll();
  const { rows } = await whole.servers.sql.query("select id from locations");
  expect(rows.map(({ id }) => id).sort()).toEqual(passed.map(({ id }) => id).sort());
}, 600_000);
