/** The rules of a client, each on its own: what settles an event, what lets it wait, and what it may cost. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { type Client, makeClient } from "../src/client.ts";
import { createClient } from "../src/index.ts";
import type { ClientOptions, Pace } from "../src/options.ts";
import type { Held, Outcome } from "../src/outcome.ts";
import type { Store } from "../src/store.ts";
import { memory } from "../src/stores/memory.ts";
import { type FaultServer, startFaultServer } from "./fault-server.ts";
import { turnsOf, until } from "./until.ts";

const DAY_MS = 86_400_000;
let server: FaultServer;
let clients: Client[] = [];
/** How many requests were begun, and how many answers the client has. */
let begun = 0;
let answered = 0;
beforeEach(async () => {
  server = await startFaultServer();
  begun = answered = 0;
});
afterEach(async () => {
  vi.useRealTimers();
  for (const client of clients) await client.close();
  clients = [];
  await server.close();
});

const countedFetch: typeof fetch = async (...args) => {
  begun++;
  const response = await fetch(...args);
  const body = await response.arrayBuffer();
  answered++;
  return new Response(body, response);
};

function open(options: Partial<ClientOptions> = {}, pace: Partial<Pace> = {}): Client {
  const client = makeClient(
    { url: `${server.url}/`, key: "key", batch: { ms: 5 }, fetch: countedFetch, ...options },
    { backOffBaseMs: 5, backOffMaxMs: 20, ...pace },
  );
  clients.push(client);
  return client;
}

/** From now on the client's time stands still until it is turned. The network's goes on. */
const holdClock = () => vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
const turn = (ms: number) => vi.advanceTimersByTimeAsync(ms);
/** Resolves when the client has read so many answers. */
async function untilAnswered(count: number): Promise<void> {
  await until(() => answered === count, `${count} answers`);
  await turnsOf(3);
}
const kindsOf = async (sent: readonly { outcome: Promise<Outcome> }[]) =>
  (await Promise.all(sent.map(({ outcome }) => outcome))).map(({ kind }) => kind);

test("a 202 settles each event by its index: accepted or refused, with the errors", async () => {
  const client = open();
  server.faults.push({ kind: "partial" });
  const sent = [0, 1, 2, 3].map((n) => client.send("s", { n }));
  expect(await kindsOf(sent)).toEqual(["refused", "buffered", "buffered", "refused"]);
  expect(await sent[3]?.outcome).toEqual({
    ...{ kind: "refused", id: sent[3]?.id, stream: "s", status: 422, code: "invalid-event" },
    errors: [{ path: "n", message: "expected another" }],
  });
  expect([...server.stored.keys()]).toEqual([sent[1]?.id, sent[2]?.id]);
});

test("a 422 is told and over", async () => {
  const client = open();
  server.faults.push({ kind: "422" });
  const sent = [0, 1].map((n) => client.send("s", { n }));
  expect(await kindsOf(sent)).toEqual(["refused", "refused"]);
  expect(server.requests.length).toBe(1);
  expect(client.waiting.events).toBe(0);
});

test.each(["413", "400"] as const)(
  "a %s sends singly, once, and refuses only what is refused alone",
  async (kind) => {
    const client = open();
    server.faults.push({ kind }, { kind }); // of all, and of the first alone
    const sent = [0, 1, 2].map((n) => client.send("s", { n }));
    expect(await kindsOf(sent)).toEqual(["refused", "buffered", "buffered"]);
    expect(server.requests.map(({ body }) => (JSON.parse(body) as []).length)).toEqual([3, 1, 1, 1]);
  },
);

test("a 503 and no answer settle nothing, and the same bytes are sent again", async () => {
  const client = open();
  server.faults.push({ kind: "503" }, { kind: "cut-before" }, { kind: "cut-after" }, { kind: "portal" });
  const { id, outcome } = client.send("s", { text: "ü\u2028" });
  expect((await outcome).kind).toBe("buffered");
  expect(new Set(server.requests.map(({ body }) => body)).size).toBe(1);
  expect(server.stored.get(id)).toEqual({ id, text: "ü\u2028" });
  expect(server.times.get(id)).toBe(2);
});

test("a 401 holds the queue and says so; a function is asked again, and its new key is used", async () => {
  server.setKey("new");
  const heard: Held[] = [];
  const keys = ["old", "new"];
  const client = open({ key: () => keys.shift() ?? "none", onHeld: (held) => heard.push(held) });
  expect((await client.send("s", { n: 1 }).outcome).kind).toBe("buffered");
  expect(heard).toEqual([{ status: 401, code: "unknown-key", detail: "because of unknown-key" }]);
  expect(client.waiting.held).toBeUndefined();
});

test("a text that is refused is tried again after 5 minutes and not before, and what waits stays", async () => {
  holdClock();
  server.setKey("new");
  const warn = vi.spyOn(console, "warn").mockReturnValue();
  const client = open({ onOutcome: ({ kind }) => kinds.push(kind) });
  const kinds: string[] = [];
  client.send("s", { n: 1 });
  await turn(5);
  await untilAnswered(1);
  client.send("other", { n: 2 });
  void client.flush({ withinMs: 1_000_000 });
  await turn(299_000);
  expect(begun).toBe(1);
  expect(client.waiting).toMatchObject({ events: 2, held: { status: 401, code: "unknown-key" } });
  expect(warn).toHaveBeenCalledTimes(1);
  server.setKey("key");
  await turn(1000);
  await until(() => kinds.length === 2, "two outcomes");
  expect(kinds).toEqual(["buffered", "buffered"]);
  expect(client.waiting).toEqual({ events: 0, bytes: 0, oldestMs: 0 });
  warn.mockRestore();
});

test("a 403 holds its stream, and no other", async () => {
  const heard: Held[] = [];
  const client = open({ onHeld: (held) => heard.push(held) });
  server.faults.push({ kind: "403" });
  client.send("forbidden", { n: 1 });
  await until(() => heard.length === 1, "the stream to be held");
  expect((await client.send("s", { n: 2 }).outcome).kind).toBe("buffered");
  expect(heard).toMatchObject([{ status: 403, stream: "forbidden" }]);
  expect(client.waiting.events).toBe(1);
  expect(server.requests.map(({ status }) => status)).toEqual([403, 202]);
});

test("Retry-After is waited for, also by other streams: one back-off for a client", async () => {
  holdClock();
  const client = open();
  server.faults.push({ kind: "429", retryAfterSeconds: 30 });
  const first = client.send("a", { n: 1 });
  await turn(5);
  await untilAnswered(1);
  const second = client.send("b", { n: 2 });
  void client.flush({ withinMs: 1_000_000 });
  await turn(29_990);
  expect(begun).toBe(1);
  await turn(20);
  expect(await kindsOf([first, second])).toEqual(["buffered", "buffered"]);
});

test("after failures the client waits for a random time of up to 1, 2, 4 … 60 s, and one request probes", async () => {
  holdClock();
  const random = vi.spyOn(Math, "random").mockReturnValue(0.999);
  const client = open({ batch: { events: 1 } }, { backOffBaseMs: 1000, backOffMaxMs: 60_000 });
  server.faults.push(...Array.from({ length: 8 }, () => ({ kind: "500" }) as const));
  const sent = ["a", "b", "c"].map((stream) => client.send(stream, { n: 1 }));
  await turn(1);
  await untilAnswered(3); // none had failed when they began, so they count as one failure
  for (const [place, waitMs] of [1000, 2000, 4000, 8000, 16_000].entries()) {
    await turn(waitMs * 0.99);
    expect(begun).toBe(3 + place);
    await turn(waitMs * 0.01);
    expect(begun).toBe(4 + place);
    await untilAnswered(4 + place);
  }
  await turn(32_000);
  expect(await kindsOf(sent)).toEqual(["buffered", "buffered", "buffered"]);
  random.mockRestore();
});

test("one request in flight a stream, whatever is sent meanwhile", async () => {
  const client = open({ batch: { events: 3, ms: 600_000 } });
  const sent = Array.from({ length: 60 }, (_, n) => client.send(n % 2 ? "a" : "b", { n }));
  expect(new Set(await kindsOf(sent))).toEqual(new Set(["buffered"]));
  expect(server.mostInFlight()).toBe(1);
  expect(server.requests.length).toBe(20);
});

test("a batch is sent when it has 100 events, 60 kB, or its first event is a second old", async () => {
  holdClock();
  const client = open({ batch: {} });
  for (let n = 0; n < 100; n++) client.send("count", { n });
  for (let n = 0; n < 7; n++) client.send("bytes", { text: "x".repeat(10_000) });
  client.send("age", { n: 1 });
  await untilAnswered(2);
  await turn(999);
  expect(begun).toBe(2);
  expect(server.requests.map(({ url }) => url).sort()).toEqual(["/v1/bytes", "/v1/count"]);
  expect(Math.max(...server.requests.map(({ body }) => Buffer.byteLength(body)))).toBeLessThanOrEqual(60_000);
  await turn(1);
  await until(() => server.stored.size === 108, "all events to be stored");
  expect(begun).toBe(4);
});

test("ack=stored goes into the query, in a request of its own", async () => {
  const client = open();
  const sent = [
    client.send("s", { n: 1 }),
    client.send("s", { n: 2 }, { ack: "stored" }),
    client.send("s", { n: 3 }),
  ];
  await kindsOf(sent);
  expect(server.requests.map(({ url }) => url)).toEqual(["/v1/s", "/v1/s?ack=stored", "/v1/s"]);
});

test("the id is fixed at once: the given one, the event's own, or a UUIDv7", async () => {
  const client = open();
  expect(client.send("s", { id: "own" }, { id: "given" }).id).toBe("given");
  expect(client.send("s", { id: "own" }).id).toBe("own");
  expect(client.send("s", { id: 5 }).id).toBe("5");
  expect(client.send("s", {}).id).toMatch(
    /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/,
  );
  expect(
    Number.parseInt(client.send("s", {}).id.replaceAll("-", "").slice(0, 12), 16) - Date.now(),
  ).toBeGreaterThan(-5000);
  await client.flush();
  expect([...server.stored.values()].slice(0, 3)).toEqual([{ id: "given" }, { id: "own" }, { id: 5 }]);
});

test("what is no JSON object is refused here, and nothing is thrown", async () => {
  const client = open();
  const circle: Record<string, unknown> = {};
  circle.self = circle;
  const bad = [
    null,
    undefined,
    [],
    "text",
    5,
    circle,
    { big: 5n },
    {
      get x() {
        throw new Error("no");
      },
    },
  ];
  const sent = bad.map((event) => client.send("s", event as object));
  for (const { outcome, kept } of sent) {
    expect(await outcome).toMatchObject({ kind: "refused", status: 0, code: "not-json" });
    expect(await kept).toBe(false);
  }
  expect((await client.send("s", { toJSON: () => ({ n: 1 }) }).outcome).kind).toBe("buffered");
});

test("a listener, a store or a key that throws costs no event", async () => {
  const error = vi.spyOn(console, "error").mockReturnValue();
  const fail = () => {
    throw new Error("no");
  };
  const store: Store = { put: fail, remove: fail, beat: fail, queues: fail, take: fail, clear: fail };
  let asked = 0;
  const client = open({
    store,
    onOutcome: fail,
    waitUntil: fail,
    key: () => (asked++ === 0 ? fail() : "key"),
  });
  const { kept, outcome } = client.send("s", { n: 1 });
  expect(await kept).toBe(false);
  expect((await outcome).kind).toBe("buffered");
  await client.clear();
  error.mockRestore();
});

test("full: the oldest go, what is in flight stays, and outcome says so", async () => {
  const heard: string[] = [];
  const client = open({
    ...{ keep: { bytes: 1000 }, batch: { ms: 600_000 } },
    onOutcome: ({ id, kind }) => kind === "dropped" && heard.push(id),
  });
  const sent = Array.from({ length: 30 }, (_, n) => client.send("s", { n }));
  const dropped = heard.length;
  expect(heard).toEqual(sent.slice(0, dropped).map(({ id }) => id));
  expect(client.waiting.bytes).toBeLessThanOrEqual(1000);
  expect(client.waiting.bytes).toBeGreaterThan(900);
  expect(await sent[0]?.outcome).toMatchObject({ kind: "dropped", why: "full" });
  expect(await client.send("s", { text: "x".repeat(1000) }).outcome).toMatchObject({
    kind: "dropped",
    why: "full",
  });
  expect(client.waiting.events).toBe(30 - dropped);
  await client.flush();
  expect(server.stored.size).toBe(30 - dropped);
});

test("full: an event in flight is not given up, because it may be stored at this moment", async () => {
  const client = open({ keep: { bytes: 1000 } }, { requestMs: 200 });
  server.faults.push({ kind: "hang" });
  const first = Array.from({ length: 5 }, (_, n) => client.send("s", { n }));
  await until(() => server.mostInFlight() === 1, "a request in flight");
  for (let n = 0; n < 50; n++) client.send("s", { n });
  expect(new Set(await kindsOf(first))).toEqual(new Set(["buffered"]));
});

test("expired by Spillway's clock alone: a device's clock in 1970, or far ahead, changes nothing", async () => {
  const store = memory();
  const clock = vi.spyOn(Date, "now");
  const nowMs = 1_800_000_000_000;
  for (const deviceMs of [0, nowMs + 400 * DAY_MS, nowMs - 400 * DAY_MS]) {
    clock.mockReturnValue(deviceMs);
    const client = open({ store });
    client.send("s", { deviceMs });
    server.setDate(nowMs);
    server.faults.push({ kind: "503" }, { kind: "503" }, { kind: "cut-before" });
    expect(await client.flush({ withinMs: 60_000 })).toBe(true);
  }
  clock.mockRestore();
  expect(server.stored.size).toBe(3);
});

test("expired: what an answer saw more than 7 days ago goes at the next that takes nothing, also of an earlier run", async () => {
  const store = memory();
  const seen: Outcome[] = [];
  const first = open({ store }, { backOffBaseMs: 3_600_000, backOffMaxMs: 3_600_000 }); // one request
  server.setDate(1_000 * DAY_MS);
  server.faults.push({ kind: "503" });
  first.send("s", { n: 1 });
  await untilAnswered(1);
  await first.close();
  server.setDate(1_007.5 * DAY_MS);
  server.faults.push({ kind: "503" }, { kind: "503" });
  const next = open({ store, onOutcome: (outcome) => seen.push(outcome) });
  next.send("s", { n: 2 });
  await until(() => seen.length === 2, "two outcomes");
  expect(seen.map((outcome) => (outcome.kind === "dropped" ? outcome.why : outcome.kind)).sort()).toEqual([
    "buffered",
    "expired",
  ]);
  expect(server.stored.size).toBe(1);
});

test("flush waits for what is queued and in flight, and gives up in time", async () => {
  const client = open({ batch: { ms: 60_000 } }, { requestMs: 60_000 });
  expect(await client.flush()).toBe(true);
  server.faults.push({ kind: "hang" });
  client.send("s", { n: 1 });
  expect(await client.flush({ withinMs: 50 })).toBe(false);
  expect(client.waiting.events).toBe(1);
  await client.close();
  const other = open({ batch: { ms: 60_000 } });
  other.send("s", { n: 2 });
  expect(await other.flush()).toBe(true);
  expect(other.waiting.events).toBe(0);
});

test("flush waits also for what an earlier run left, right after the start", async () => {
  server.setAway(true);
  const store = memory();
  const earlier = open({ store, batch: { ms: 600_000 } });
  earlier.send("s", { n: 1 });
  await earlier.close();
  server.setAway(false);
  const client = open({ store, batch: { ms: 600_000 } });
  expect(await client.flush({ withinMs: 60_000 })).toBe(true);
  expect(server.stored.size).toBe(1);
});

test("waiting.held says why events wait: no answer, Spillway's own words, or another's status", async () => {
  const heard: Held[] = [];
  const client = open({ onHeld: (held) => heard.push(held) });
  expect(client.waiting.held).toBeUndefined();
  const why = async (code: string) => {
    client.send("s", { n: 1 });
    await until(() => client.waiting.held?.code === code, code);
    return client.waiting.held;
  };
  server.setAway(true);
  expect(await why("no-answer")).toMatchObject({
    status: 0,
    detail: expect.stringContaining("other side closed"),
  });
  server.faults.push({ kind: "503" }, { kind: "hang" });
  server.setAway(false);
  expect(await why("buffer-full")).toMatchObject({ status: 503, detail: "because of buffer-full" });
  expect(heard).toEqual([]); // these pass by themselves
  server.faults.length = 0;
});

test("a key that is missing is refused, and that is told", async () => {
  server.setKey("key");
  const heard: Held[] = [];
  const client = open({ key: undefined as unknown as string, onHeld: (held) => heard.push(held) });
  client.send("s", { n: 1 });
  await until(() => heard.length === 1, "the client to say so");
  expect(heard[0]?.code).toBe("unknown-key");
});

test("clear forgets everything: here, in the store, and of earlier runs", async () => {
  server.setAway(true);
  const store = memory();
  const earlier = open({ store });
  earlier.send("s", { n: 1 });
  await earlier.close();
  const client = open({ store });
  const { outcome } = client.send("s", { n: 2 });
  await client.clear();
  expect(await outcome).toMatchObject({ kind: "dropped", why: "cleared" });
  expect(client.waiting.events).toBe(0);
  await client.close();
  server.setAway(false);
  for (const [queue, beat] of await store.queues())
    expect(await store.take(queue, beat, "reader")).toEqual([]);
});

test("an answer that comes after clear changes nothing: an event ends once", async () => {
  const heard: string[] = [];
  let answer = () => {};
  const late: typeof fetch = () =>
    new Promise((resolve) => {
      answer = () => resolve(Response.json({ accepted: 1, ids: ["1"], ack: "buffered" }, { status: 202 }));
    });
  const client = open({ fetch: late, onOutcome: ({ kind }) => heard.push(kind) });
  client.send("s", { n: 1 });
  void client.flush({ withinMs: 50 });
  await client.clear();
  answer();
  await turnsOf(5);
  expect(heard).toEqual(["dropped"]);
});

test("events that come back from another queue wait once", async () => {
  server.setAway(true);
  const store = memory();
  const client = open({ store }, { beatMs: 20 });
  client.send("s", { n: 1 });
  const [queue = "", beat] = (await store.queues())[0] ?? [];
  expect((await store.take(queue, beat, "other")).length).toBe(1);
  await store.beat("other", "");
  await until(
    async () => (await store.queues()).every(([name]) => name === queue),
    "the other queue to be taken over",
  );
  expect(client.waiting.events).toBe(1);
});

test("after close, an event is dropped, and what waits is the next client's", async () => {
  server.setAway(true);
  const store = memory();
  const client = open({ store });
  const { id } = client.send("s", { n: 1 });
  await client.close();
  await client.close();
  expect(await client.send("s", { n: 2 }).outcome).toMatchObject({ kind: "dropped", why: "closed" });
  server.setAway(false);
  open({ store });
  await until(() => server.stored.size > 0, "an event to be stored");
  expect([...server.stored.keys()]).toEqual([id]);
});

test("the queue of a client that is gone without a word is taken over after 60 s of watching, not before", async () => {
  holdClock();
  server.setAway(true);
  const store = memory();
  const gone = makeClient({ url: server.url, key: "key", store }, { beatMs: 1e9 });
  gone.send("s", { n: 1 });
  const client = open({ store });
  await turn(59_000);
  expect(client.waiting.events).toBe(0);
  await turn(16_000);
  expect(client.waiting.events).toBe(1);
  await client.clear();
  await gone.close();
});

test("the queue of a client that lives is left alone", async () => {
  holdClock();
  server.setAway(true);
  const store = memory();
  const one = open({ store });
  one.send("s", { n: 1 });
  const two = open({ store });
  await turn(600_000);
  expect([one.waiting.events, two.waiting.events]).toEqual([1, 0]);
});

test("waitUntil gets the end of what was sent, and events of one task share a request", async () => {
  const works: Promise<unknown>[] = [];
  const client = open({ batch: { ms: 60_000 }, waitUntil: (work) => works.push(work) });
  for (let n = 0; n < 5; n++) client.send("s", { n });
  await Promise.all(works);
  expect(server.stored.size).toBe(5);
  expect(server.requests.length).toBe(1);
});

test("no timer keeps a Node process alive, and flush does", () => {
  const folder = mkdtempSync(join(tmpdir(), "spillway-exit-"));
  const run = (code: string) => {
    const source = fileURLToPath(new URL("../src/", import.meta.url));
    const script = `
      import { createClient } from ${JSON.stringify(`${source}index.ts`)};
      import { files } from ${JSON.stringify(`${source}stores/files.ts`)};
      const client = createClient({ url: "http://127.0.0.1:9", key: "key", store: files(${JSON.stringify(folder)}) });
      client.send("s", { n: 1 });
      ${code}`;
    const args = ["--import", "tsx", "--input-type=module", "-e", script];
    return execFileSync(process.execPath, args, { encoding: "utf8", timeout: 100_000 });
  };
  expect(run("")).toBe(""); // no request can succeed: a timer that counts would go on for ever
  expect(run('console.log(await client.flush({ withinMs: 300 }) ? "all" : "some wait")')).toBe("some wait\n");
  rmSync(folder, { recursive: true, force: true });
}, 250_000);

test("without a source of random bytes createClient throws the line that helps", () => {
  const real = globalThis.crypto;
  Object.defineProperty(globalThis, "crypto", { value: undefined, configurable: true });
  try {
    expect(() => createClient({ url: server.url, key: "key" })).toThrow("react-native-get-random-values");
    const client = createClient({ url: server.url, key: "key", random: (bytes) => bytes.fill(7) });
    expect(client.send("s", {}).id).toMatch(/-7707-b707-070707070707$/);
    void client.close();
  } finally {
    Object.defineProperty(globalThis, "crypto", { value: real, configurable: true });
  }
});
