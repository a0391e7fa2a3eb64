/** A key is revoked while three ingest instances run, in processes of their own, and one of them is frozen, as Cloud Run takes CPU away. */
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type FunctionProcess, startFunction } from "../../dev/stack/function-process.ts";
import { findFreePorts } from "../../dev/stack/ports.ts";
import { testStreams } from "../streams/run/test-streams.ts";
import { openWholeStack, type WholeStack } from "./whole-stack.ts";

/** How long an instance is frozen. The copy ages in 5 s; SPILLWAY_FREEZE_MS=60000 for the real thing. */
const FREEZE_MS = Number(process.env.SPILLWAY_FREEZE_MS ?? 6000);

let whole: WholeStack;
/** Two instances beside that of the stack, and one that is frozen. */
let more: FunctionProcess[] = [];
let all: string[];
let frozen: FunctionProcess;
beforeAll(async () => {
  whole = await openWholeStack(500);
  const { stack } = whole;
  const env = stack.serverSettings;
  const ports = await findFreePorts(3);
  more = await Promise.all(
    ports.map((port) => startFunction({ target: "ingest", port, source: testStreams.source, env })),
  );
  frozen = more[2] as FunctionProcess;
  all = [stack.ingestUrl, ...more.map(({ url }) => url)];
});
afterAll(async () => {
  frozen?.kill("SIGCONT");
  await Promise.all(more.map((one) => one.stop()));
  await whole?.close();
});

async function command(body: object) {
  const response = await fetch(`${whole.stack.supervisorUrl}/keys`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  return (await response.json()) as { key: string; isRefused?: boolean };
}

async function post(url: string, key: string): Promise<string> {
  const response = await fetch(`${url}/v1/locations`, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: `Bearer ${key}` },
    body: JSON.stringify({ userId: "u", lat: 1, lng: 2, recordedAt: new Date().toISOString() }),
  });
  const { code, ids } = (await response.json()) as { code?: string; ids?: string[] };
  if (ids) accepted.push(...ids);
  return code ?? String(response.status);
}
const accepted: string[] = [];

test("a revoked key is refused by three running instances within 10 s, and by a frozen one with its first request", async () => {
  const { key } = await command({ action: "create", name: "app" });
  const other = (await command({ action: "create", name: "second" })).key;
  expect(await Promise.all(all.map((url) => post(url, key)))).toEqual(["202", "202", "202", "202"]);
  const running = all.slice(0, 3);
  frozen.kill("SIGSTOP");
  const frozenAtMs = performance.now();

  // They are in the middle of work with it.
  let isOver = false;
  const lastAcceptedAtMs = Promise.all(
    running.map(async (url) => {
      let last = Number.NEGATIVE_INFINITY;
      while (!isOver) {
        const sentAtMs = performance.now();
        if ((await post(url, key)) === "202") last = sentAtMs;
        await sleep(20);
      }
      return last;
    }),
  );
  expect(await command({ action: "revoke", name: "app" })).toMatchObject({ isRefused: true });
  const revokedAtMs = performance.now();
  await sleep(10_500);
  isOver = true;
  for (const last of await lastAcceptedAtMs) expect(last - revokedAtMs).toBeLessThan(10_000);
  for (const url of running) expect(await post(url, key)).toBe("unknown-key");

  await sleep(frozenAtMs + FREEZE_MS - performance.now());
  frozen.kill("SIGCONT");
  expect(await post(frozen.url, key)).toBe("unknown-key");
  expect(await post(frozen.url, other)).toBe("202");

  await whole.drainAll();
  const { rows } = await whole.servers.sql.query("select id from locations");
  expect(rows.map(({ id }) => id).sort()).toEqual([...accepted].sort());
}, 180_000);
