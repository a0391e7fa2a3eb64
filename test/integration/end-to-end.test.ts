/** The whole system through HTTP: real servers, both functions in processes of their own, tick and eager flush. */
import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openRawClient } from "../raw-client.ts";
import { isAlive, whereabouts } from "./test-stack.ts";
import { openWholeStack, type WholeStack } from "./whole-stack.ts";

let whole: WholeStack;
let stack: WholeStack["stack"];
let servers: WholeStack["servers"];

beforeAll(async () => {
  whole = await openWholeStack(5000);
  ({ stack, servers } = whole);
}, 120_000);
afterAll(() => whole?.close());

/** Posts events, and returns the acknowledged ids; undefined when there was no answer. */
async function post(events: unknown, stream = "events", more: Record<string, string> = {}) {
  const response = await fetch(`${stack.ingestUrl}/v1/${stream}`, {
    method: "POST",
    headers: { authorization: `Bearer ${stack.apiKey}`, "content-type": "application/json", ...more },
    body: JSON.stringify(events),
  });
  const body = (await response.json()) as { ids?: string[] };
  return { status: response.status, ids: body.ids ?? [] };
}
const event = (n: number) => ({ type: "test", payload: { n } });

async function expectStoredOnce(ids: readonly string[], stream = "events"): Promise<void> {
  const found = await whereabouts(servers, stream);
  expect(found.buffered).toEqual([]);
  expect([found.dead, found.held]).toEqual([[], []]);
  expect(new Set(found.stored).size).toBe(found.stored.length);
  const stored = new Set(found.stored);
  expect(ids.filter((id) => !stored.has(id))).toEqual([]);
}

test("an event posted with the key is a row after the next tick, and can be asked for by its id", async () => {
  const { status, ids } = await post(event(1));
  expect(status).toBe(202);
  let found = 404;
  for (let tries = 0; tries < 400 && found === 404; tries++) {
    await sleep(50);
    const response = await fetch(`${stack.ingestUrl}/v1/events/${ids[0]}`, {
      headers: { authorization: `Bearer ${stack.apiKey}` },
    });
    found = response.status;
  }
  expect(found).toBe(200);
  await expectStoredOnce(ids);
});

test("10,000 events with tick and eager flush, the supervisor killed five times: each is stored once", async () => {
  const acknowledged: string[] = [];
  let posted = 0;
  const sender = async () => {
    while (posted < 10_000) {
      const size = Math.min(20, 10_000 - posted);
      const from = posted;
      posted += size;
      const { status, ids } = await post(Array.from({ length: size }, (_, i) => event(from + i)));
      expect(status).toBe(202);
      acknowledged.push(...ids);
      await sleep(20);
    }
  };
  const killer = async () => {
    for (let kills = 0; kills < 5; kills++) {
      await sleep(300);
      await whole.killSupervisor();
    }
  };
  await Promise.all([...Array.from({ length: 4 }, sender), killer()]);
  await whole.drainAll();
  expect(new Set(acknowledged).size).toBe(10_000);
  await expectStoredOnce(acknowledged);
});

test("ingest that is told to end answers every request in flight, and loses none that it acknowledged", async () => {
  const acknowledged: string[] = [];
  const statuses = new Map<number | "refused", number>();
  let isOn = true;
  const sender = async () => {
    for (let n = 0; isOn; n++) {
      const answer = await post(event(n)).catch(() => undefined);
      const status = answer?.status ?? "refused";
      statuses.set(status, (statuses.get(status) ?? 0) + 1);
      if (answer) acknowledged.push(...(status === 202 ? answer.ids : []));
      else await sleep(20);
    }
  };
  const senders = Array.from({ length: 8 }, sender);
  await sleep(300);
  const before = stack.ingest.pid();
  stack.ingest.kill("SIGTERM");
  await whole.untilRestarted("ingest", before);
  isOn = false;
  await Promise.all(senders);
  expect([...statuses.keys()].filter((status) => ![202, 503, "refused"].includes(status))).toEqual([]);
  await whole.drainAll();
  await expectStoredOnce(acknowledged);
});

test("a page may read that an instance is ending, and its preflight is answered", async () => {
  const port = Number(new URL(stack.ingestUrl).port);
  const client = openRawClient(port);
  const body = JSON.stringify(event(1));
  const page = "host: x\r\norigin: https://page.example\r\n";
  const head = `POST /v1/events HTTP/1.1\r\n${page}authorization: Bearer ${stack.apiKey}\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n`;
  client.send(`GET /health HTTP/1.1\r\nhost: x\r\n\r\n${head}${body.slice(0, 5)}`);
  await client.firstAnswers(1); // in the same piece as the head, which therefore has come
  const before = stack.ingest.pid();
  stack.ingest.kill("SIGTERM");
  while (await canConnect(port)) await sleep(5);
  client.send(
    `${body.slice(5)}OPTIONS /v1/events HTTP/1.1\r\n${page}access-control-request-method: POST\r\n\r\n${head}${body}`,
  );
  const [, ...answers] = await client.answers();
  expect(answers.map(({ status, headers }) => [status, headers.get("access-control-allow-origin")])).toEqual([
    [202, undefined], // a secret key's, and the origin is none of CORS_ORIGINS
    [204, "https://page.example"],
    [503, "https://page.example"],
  ]);
  await whole.untilRestarted("ingest", before);
  await whole.drainAll();
  await expectStoredOnce((JSON.parse(answers[0]?.body ?? "{}") as { ids: string[] }).ids);
});

/** Whether a server listens on this port. */
const canConnect = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    socket.once("error", () => resolve(false)).once("connect", () => resolve(socket.destroy() !== undefined));
  });

test("a supervisor that is told to end in the middle of a drain leaves no lease behind", async () => {
  const ids: string[] = [];
  stack.neonBridge.setFault(() => ({ kind: "slow", delayMs: 200 }));
  for (let i = 0; i < 5; i++) ids.push(...(await post(Array.from({ length: 500 }, (_, n) => event(n)))).ids);
  const draining = fetch(`${stack.supervisorUrl}/drain`, { method: "POST" });
  while ((await servers.redis.keys("{spillway}:events:claimed:*")).length === 0) await sleep(10);
  const before = stack.supervisor.pid();
  stack.supervisor.kill("SIGTERM");
  const report = (await (await draining).json()) as { streams: { outcome: string }[] };
  expect(report.streams.map(({ outcome }) => outcome)).toContain("deadline");
  while (isAlive(before)) await sleep(5); // eager flushes that were under way have ended too
  expect(await servers.redis.keys("{spillway}:events:lease:*")).toEqual([]);
  expect(await servers.redis.keys("{spillway}:events:claimed:*")).toEqual([]);
  await whole.untilRestarted("supervisor", before);
  stack.neonBridge.setFault(undefined);
  await whole.drainAll();
  await expectStoredOnce(ids);
});

test("at a steady pace with eager flushes the average batch is at least 90 rows", async () => {
  await whole.drainAll();
  const ids: string[] = [];
  for (let i = 0; i < 150; i++) {
    // ten posts of two at a time: 20 events every 20 ms, about a thousand a second
    const answers = await Promise.all(
      Array.from({ length: 10 }, (_, n) =>
        post(
          [1, 2].map((k) => ({ contactId: `${i}-${n}-${k}`, type: "note", description: "x" })),
          "activities",
        ),
      ),
    );
    for (const answer of answers) ids.push(...answer.ids);
    await sleep(20);
  }
  await whole.drainAll();
  await expectStoredOnce(ids, "activities");
  const { rows } = await servers.sql.query(
    "select count(*)::int as rows, count(distinct xmin::text)::int as batches from activities",
  );
  expect(rows[0].rows / rows[0].batches).toBeGreaterThanOrEqual(90);
});
