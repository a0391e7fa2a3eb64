/**
 * The client and the real system: a client process that is killed, an ingest that is killed, and a page with a public key. What was
 * kept is stored once. Real servers, real processes, SIGKILL.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openWholeStack, type WholeStack } from "../../../test/integration/whole-stack.ts";
import { openPageBrowser } from "./browser-page.ts";

const PAGE_EVENTS = 150;
const EVENTS = 10_000;
const LIVES = 11; // ten of them end by SIGKILL while there is work
const script = fileURLToPath(new URL("run/killed-sender.ts", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "spillway-killed-"));
let whole: WholeStack;

beforeAll(async () => {
  whole = await openWholeStack(1000);
});
afterAll(async () => {
  await whole?.close();
  rmSync(folder, { recursive: true, force: true });
});

interface Heard {
  kept: Map<string, number>;
  ended: string[];
}

/** Runs a sender; `killWhen` hears each of its lines, and says when to kill it. */
function live(from: number, to: number, heard: Heard, killWhen: (line: string) => boolean): Promise<void> {
  const { ingestUrl, apiKey } = whole.stack;
  const args = ["--import", "tsx", script, ingestUrl, apiKey, folder, String(from), String(to)];
  const child: ChildProcess = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
  let isKilled = false;
  createInterface({ input: child.stdout as NodeJS.ReadableStream }).on("line", (line) => {
    const [what, one = "", two = ""] = line.split(" ");
    if (what === "kept") heard.kept.set(two, Number(one));
    if (what === "ended") heard.ended.push(`${one} ${two}`);
    if (!isKilled && killWhen(line)) isKilled = child.kill("SIGKILL");
  });
  return new Promise((resolve, reject) => {
    child.on("close", (_, signal) =>
      signal === "SIGKILL" ? resolve() : reject(new Error("expected the sender to run until it is killed")),
    );
  });
}

test("10,000 events, ingest killed at random, the sender killed ten times: all that was kept is stored once", async () => {
  const { stack, servers, untilRestarted } = whole;
  const heard: Heard = { kept: new Map(), ended: [] };
  let isOver = false;
  const killing = (async () => {
    while (!isOver) {
      await sleep(200 + Math.random() * 1500);
      const before = stack.ingest.pid();
      stack.ingest.kill("SIGKILL");
      await untilRestarted("ingest", before);
    }
  })();
  let next = 0;
  for (let life = 1; life <= LIVES; life++) {
    const isLast = life === LIVES;
    const upTo = isLast
      ? EVENTS
      : Math.min(EVENTS, next + 1 + Math.ceil(Math.random() * (EVENTS / LIVES) * 1.8));
    const isAfterSending = Math.random() < 0.3;
    const killWhen = (line: string) => {
      const [what, n] = line.split(" ");
      if (what === "kept") next = Number(n) + 1;
      if (isLast) return line === "empty" && next === EVENTS;
      return isAfterSending ? what === "ended" && next === upTo : what === "kept" && Number(n) + 1 === upTo;
    };
    // It would send more: it is killed in the middle of it.
    await live(next, isAfterSending || isLast ? upTo : EVENTS, heard, killWhen);
  }
  // What the last life took over late: a life of its own, until its folder is empty.
  for (let tries = 0; tries < 5 && readdirSync(folder).some((name) => name.endsWith(".log")); tries++)
    await live(
      EVENTS,
      EVENTS,
      heard,
      (line) => line === "empty" && !readdirSync(folder).some((name) => name.endsWith(".log")),
    );
  isOver = true;
  await killing;
  await whole.drainAll();

  const { rows } = await servers.sql.query<{ id: string; n: number }>(
    "select id, (payload->>'n')::int as n from events where type = 'killed'",
  );
  const stored = new Map(rows.map(({ id, n }) => [id, n]));
  expect(rows.length).toBe(stored.size);
  expect([...heard.kept].filter(([id, n]) => stored.get(id) !== n)).toEqual([]);
  expect(new Set(heard.kept.values()).size).toBe(EVENTS);
  expect((await servers.sql.query("select 1 from dead_letters")).rows).toEqual([]);
  expect(new Set(heard.ended.map((line) => line.split(" ")[1]))).toEqual(new Set(["buffered"]));
  expect(readdirSync(folder).filter((name) => name.endsWith(".log"))).toEqual([]);
}, 300_000);

test("a page of another origin sends with a public key, also as it goes: each event is stored once", async () => {
  const { stack, servers, drainAll } = whole;
  const browser = await openPageBrowser();
  const made = await fetch(`${stack.supervisorUrl}/keys`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({
      ...{ action: "create", name: "page", kind: "public", streams: ["events"] },
      ...{ origins: [browser.origin], perAddressPerSecond: 1000 },
    }),
  });
  const { key } = (await made.json()) as { key: string };
  expect(key).toMatch(/^spw_pub_/);
  const context = await browser.openContext();
  const page = await browser.visit(context);
  const kinds = await page.evaluate(
    async ([url, publicKey, count]) => {
      const { createClient, indexedDb } = globalThis.spillway;
      const client = createClient({ url, key: publicKey, store: indexedDb() });
      const event = (n: number) => ({ type: "page", payload: { n } });
      addEventListener("pagehide", () => client.send("events", event(count)));
      const sent = Array.from({ length: count }, (_, n) => client.send("events", event(n)).outcome);
      const ends = await Promise.all([...sent, client.send("events", { type: 5, payload: {} }).outcome]);
      return ends.map((end) => (end.kind === "refused" ? end : end.kind));
    },
    [stack.ingestUrl, key, PAGE_EVENTS] as const,
  );
  expect(new Set(kinds.slice(0, -1))).toEqual(new Set(["buffered"]));
  expect(kinds.at(-1)).toMatchObject({
    kind: "refused",
    status: 422,
    code: "invalid-event",
    errors: [{ path: "type" }],
  });
  await page.goto(`${browser.origin}/blank`);
  await expect
    .poll(
      async () => {
        await drainAll();
        const { rows } = await servers.sql.query(
          "select (payload->>'n')::int as n from events where type = 'page' order by n",
        );
        return rows.map(({ n }: { n: number }) => n);
      },
      { timeout: 100_000 },
    )
    .toEqual(Array.from({ length: PAGE_EVENTS + 1 }, (_, n) => n));
  expect(browser.errors).toEqual([]);
  await browser.close();
});
