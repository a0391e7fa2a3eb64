/** Newest wins under load: 100,000 fixes in random order, four senders, and a supervisor that is killed ten times. */
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Fix, settlePositions } from "./conserved-positions.ts";
import { openWholeStack, type WholeStack } from "./whole-stack.ts";

let whole: WholeStack;
let stack: WholeStack["stack"];
let servers: WholeStack["servers"];

beforeAll(async () => {
  whole = await openWholeStack(2000);
  ({ stack, servers } = whole);
}, 120_000);
afterAll(() => whole?.close());

const USERS = 300;
const EVENTS = 100_000;
/** Each moment is that of many fixes of a user, so ties are common. */
const MOMENTS = 100;

function makeFixes(count: number): Fix[] {
  return Array.from({ length: count }, (_, i) => ({
    id: randomUUID(),
    userId: `u${i % USERS}`,
    lat: i % 90,
    lng: i % 180,
    recordedAt: new Date(Date.UTC(2026, 0, 1) + Math.floor(Math.random() * MOMENTS) * 1000).toISOString(),
  }));
}

/** Posts fixes until they are accepted: a request that was not answered is sent again with the same ids. */
async function post(fixes: readonly Fix[], ack: "buffered" | "stored"): Promise<void> {
  for (let tries = 0; tries < 50; tries++) {
    const response = await fetch(`${stack.ingestUrl}/v1/positions?ack=${ack}`, {
      method: "POST",
      headers: { authorization: `Bearer ${stack.apiKey}`, "content-type": "application/json" },
      body: JSON.stringify(fixes),
    });
    const { accepted } = (await response.json()) as { accepted?: number };
    if (response.ok && accepted === fixes.length) return;
    expect(response.status).toBe(503);
    await sleep(200);
  }
  throw new Error("expected the fixes to be accepted within 50 tries");
}

test("each user's row is its newest fix, and every accepted fix is stored or superseded", async () => {
  const fixes = makeFixes(EVENTS);
  const repeated = fixes.slice(0, EVENTS / 10);
  const sent = [...fixes, ...repeated].sort(() => Math.random() - 0.5);
  let next = 0;
  const sender = async (ack: "buffered" | "stored") => {
    while (next < sent.length) {
      const from = next;
      next += 500;
      await post(sent.slice(from, from + 500), ack);
    }
  };
  const killer = async () => {
    for (let kills = 0; kills < 10; kills++) {
      await sleep(300);
      await whole.killSupervisor();
    }
  };
  await Promise.all([sender("buffered"), sender("buffered"), sender("buffered"), sender("stored"), killer()]);
  await whole.drainAll(200);

  const places = await settlePositions(servers, fixes);
  const count = (place: string) => places.filter((one) => one === place).length;
  expect(count("stored") + count("superseded")).toBe(EVENTS); // none is held, dead, buffered or lost
  expect(count("stored")).toBe(USERS);
  const newest = new Map<string, Fix>();
  const rank = ({ recordedAt, id }: Fix) => `${recordedAt} ${id}`;
  for (const fix of fixes) {
    const known = newest.get(fix.userId);
    if (known === undefined || rank(known) < rank(fix)) newest.set(fix.userId, fix);
  }
  const { rows } = await servers.sql.query("select user_id, id, lat from positions");
  expect(new Map(rows.map(({ user_id, id, lat }) => [user_id, [id, lat]]))).toEqual(
    new Map([...newest].map(([user, { id, lat }]) => [user, [id, lat]])),
  );
  const { rows: deadlocks } = await servers.sql.query(
    "select deadlocks::int as n from pg_stat_database where datname = current_database()",
  );
  expect(deadlocks).toEqual([{ n: 0 }]);
}, 120_000);
