/** `GET /live` on real servers: what those who look on see, what it costs, and how it ends. */
import { request } from "node:http";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { startFunction } from "../../dev/stack/function-process.ts";
import { findFreePorts } from "../../dev/stack/ports.ts";
import { createSupervisor } from "../../functions/supervisor.ts";
import { connectRedis } from "../../lib/buffer/redis-client.ts";
import { createWaitingLook } from "../../lib/buffer/waiting.ts";
import { Live } from "../../lib/operate/live.ts";
import { testStreams } from "../streams/run/test-streams.ts";
import { serverSettings } from "../worker-servers.ts";
import { expectSupervisorDocumented } from "./documented.ts";
import { expectConserved, good, letPausesEnd, openWorld, pushEvents, type World } from "./test-stack.ts";

// biome-ignore lint/suspicious/noExplicitAny: a test looks into whatever was sent
type Line = any;

let world: World;
/** Time that has passed beside the real one, in milliseconds. */
let turnedMs: number;
let ends: (() => unknown)[];
beforeAll(async () => {
  world = await openWorld();
});
beforeEach(async () => {
  turnedMs = 0;
  ends = [];
  await world.reset();
});
afterEach(async () => {
  for (const end of ends.reverse()) await end();
});
afterAll(() => world.close());

/** Serves a supervisor of its own, with its own history. */
async function serve({ everyMs = 50, paused = [] as string[] } = {}) {
  const stopping = new AbortController();
  const redis = connectRedis(world.config, 2000);
  const deps = world.supervisor({ stopping: stopping.signal, paused: new Set(paused) });
  const live = new Live({
    ...deps,
    store: world.store,
    waiting: createWaitingLook(redis, [...world.streams.keys()]),
    monotonicMs: () => performance.now() + turnedMs,
    everyMs,
  });
  const { url, close } = await world.serve(createSupervisor({ ...deps, live }));
  ends.push(close);
  return { url, stopping, live };
}

/** Looks on: `lines` grows, and `ended` resolves at the end of the response. */
async function look(url: string, query = "") {
  const ending = new AbortController();
  const response = await fetch(`${url}/live${query}`, { signal: ending.signal });
  const lines: Line[] = [];
  const ended = read(response, lines).then(() =>
    expectSupervisorDocumented("GET", "/live", { ...headOf(response), body: lines }),
  );
  const leave = async () => {
    ending.abort();
    await ended;
  };
  ends.push(leave);
  const of = (kind: string) => lines.filter((line) => line.kind === kind);
  return { response, lines, of, ended, leave };
}

const headOf = ({ status, headers }: Response) => ({ status, headers });

async function read(response: Response, lines: Line[]): Promise<void> {
  let rest = "";
  try {
    for await (const piece of response.body?.pipeThrough(new TextDecoderStream()) ?? []) {
      const parts = (rest + piece).split("\n");
      rest = parts.pop() ?? "";
      lines.push(...parts.map((part) => JSON.parse(part)));
    }
  } catch (error) {
    if ((error as Error).name !== "AbortError") throw error;
  }
}

/** A batch of two events, one of which was stored. */
const batchOf = (stream: string) => ({
  ...({ kind: "batch", stream, partition: 0, rows: 2, bytes: 9, stored: 1, duplicates: 1 } as const),
  ...{ superseded: 0, held: 0, dead: 0, ids: [], oldestLagMs: 1, newestLagMs: 0, insertMs: 3 },
});

const drain = async (url: string) => (await fetch(`${url}/drain`, { method: "POST" })).json();
const until = (check: () => void | Promise<void>) => vi.waitFor(check, { timeout: 8000, interval: 20 });

describe("what those who look on see", () => {
  test("a batch that is stored appears with its ids, its lag and its call", async () => {
    const { url } = await serve();
    const viewer = await look(url);
    expect(viewer.response.headers.get("content-type")).toBe("application/x-ndjson");
    const ids = await pushEvents(world, { stream: "checked", index: 3 }, good(30));
    await drain(url);
    await until(() => expect(viewer.of("drain-ended")).toHaveLength(1));
    const [hello] = viewer.lines;
    expect(hello).toMatchObject({ kind: "hello", isContinued: false, cursor: 0, panels: [], paused: [] });
    expect(hello.streams).toContain("checked");
    const [batch] = viewer.of("batch");
    expect(batch).toMatchObject({
      stream: "checked",
      partition: 3,
      rows: 30,
      stored: 30,
      duplicates: 0,
      dead: 0,
    });
    expect(batch.ids).toEqual(ids.slice(0, 20));
    expect(batch.oldestLagMs).toBeGreaterThanOrEqual(batch.newestLagMs);
    expect(batch.bytes).toBeGreaterThan(30 * 100);
    const [begun] = viewer.of("drain-begun");
    expect(begun).toMatchObject({ isFlush: false, streams: ["checked"] });
    expect(viewer.of("drain-ended")[0]).toMatchObject({ call: begun.call, stored: 30, outcome: "empty" });
    await expectConserved(world, "checked", ids);
  });

  test("ids of events that were set aside are left out, and a batch that stopped says why", async () => {
    const { url } = await serve();
    const viewer = await look(url);
    const ids = await pushEvents(world, { stream: "checked", index: 0 }, [{ n: 1 }, { n: -1 }, { n: 2 }]);
    await drain(url);
    await until(() => expect(viewer.of("batch")).toHaveLength(1));
    expect(viewer.of("batch")[0]).toMatchObject({ rows: 3, stored: 2, dead: 1, ids: [ids[0], ids[2]] });
    await world.sql.query("alter table checked rename to elsewhere");
    try {
      ids.push(...(await pushEvents(world, { stream: "checked", index: 0 }, [{ n: 5 }])));
      await drain(url);
      await until(() => expect(viewer.of("stopped")).toHaveLength(1));
      expect(viewer.of("stopped")[0]).toMatchObject({ outcome: "misconfigured", sqlstate: "42P01" });
    } finally {
      await world.sql.query("alter table elsewhere rename to checked");
    }
    await drain(url);
    await expectConserved(world, "checked", ids);
  });

  test("what waits in a paused stream is told, and when it changes", async () => {
    const { url } = await serve({ paused: ["checked"] });
    const at = Date.now() - 60_000;
    const receivedAt = new Date(at).toISOString();
    const viewer = await look(url);
    await until(() => expect(viewer.of("counts").at(-1)?.streams).toEqual([]));
    const envelope = (n: number) =>
      `{"v":1,"id":"0190a0a0-0000-7000-8000-00000000000${n}","receivedAt":"${receivedAt}","data":{"n":${n}}}`;
    const lists = { pending: "{spillway}:checked:pending:4", claimed: "{spillway}:checked:claimed:4" };
    await world.redis.lpush(lists.pending, envelope(1), envelope(2));
    await until(() => expect(viewer.of("counts").at(-1)?.streams[0]?.pending).toBe(2));
    expect(viewer.of("counts").at(-1).streams).toEqual([
      {
        stream: "checked",
        pending: 2,
        sealed: 0,
        claimed: 0,
        oldestReceivedAt: receivedAt,
        heldPartitions: 0,
        heldSinceAt: null,
      },
    ]);
    await world.redis.lpush("{spillway}:checked:pending:4", envelope(3));
    await until(() => expect(viewer.of("counts").at(-1)?.streams[0]?.pending).toBe(3));
    await world.redis.lmove(lists.pending, lists.claimed, "RIGHT", "RIGHT");
    await until(() => expect(viewer.of("counts").at(-1)?.streams[0]?.claimed).toBe(1));
    await world.redis.hset("{spillway}:checked:claim:4", "heldSinceMs", String(at));
    await world.redis.set("{spillway}:checked:lease:4", "somebody:else");
    await until(() => expect(viewer.of("counts").at(-1)?.streams[0]?.heldPartitions).toBe(1));
    expect(viewer.of("counts").at(-1).streams[0]).toMatchObject({
      pending: 2,
      heldPartitions: 1,
      heldSinceAt: receivedAt,
    });
  });

  test("a pause and its end are told", async () => {
    const { url } = await serve();
    const viewer = await look(url);
    const call = (what: string, body?: object) =>
      fetch(`${url}/streams/checked/${what}`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        ...(body && { body: JSON.stringify(body) }),
      });
    const beganAtMs = Date.now();
    expect((await call("pause", { for: "2h" })).status).toBe(200);
    await call("resume");
    await call("resume"); // it was not paused, so nothing is told
    await drain(url);
    await until(() => expect(viewer.of("pause")).toHaveLength(2));
    expect(viewer.of("pause")).toMatchObject([
      { stream: "checked", isPaused: true, by: null },
      { stream: "checked", isPaused: false, untilAt: null, by: null },
    ]);
    expect(Date.parse(viewer.of("pause")[0].untilAt) - beganAtMs).toBeGreaterThanOrEqual(7_200_000);
  });

  test("a pause that another instance began is told to whoever comes, with its beginning and reason; so is its end", async () => {
    const [other, { url }] = [await serve(), await serve()];
    const call = (verb: string, body: object = {}) =>
      fetch(`${other.url}/streams/checked/${verb}`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify(body),
      });
    await call("pause", { for: "2h", why: "a new column" });
    const viewer = await look(url);
    await until(() => expect(viewer.of("pause")).toHaveLength(1));
    const [pause] = viewer.of("pause");
    expect(pause).toMatchObject({ stream: "checked", isPaused: true, why: "a new column" });
    expect(Date.parse(pause.untilAt) - Date.parse(pause.sinceAt)).toBeGreaterThan(7_190_000);
    await viewer.leave();
    await call("resume");
    await until(async () => {
      const again = await look(url); // the first one after the last has gone reads the pauses
      await until(() => expect(again.of("pause")).not.toEqual([]));
      const last = again.of("pause").at(-1);
      await again.leave();
      expect(last).toMatchObject({ stream: "checked", isPaused: false });
    });
    const third = await look(url);
    await until(() => expect(third.of("counts")).not.toEqual([]));
    expect(third.of("pause")).toHaveLength(2); // what was told is not told again
  });

  test("a pause that another instance begins, prolongs and ends is told to whoever looks on already", async () => {
    const [other, { url }] = [await serve(), await serve()];
    const call = (verb: string, body: object = {}) =>
      fetch(`${other.url}/streams/checked/${verb}`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify(body),
      });
    const viewer = await look(url);
    await until(() => expect(viewer.of("counts")).toHaveLength(1));
    await call("pause", { for: "2h", why: "a new column" });
    await until(() => expect(viewer.of("pause")).toHaveLength(1));
    expect(viewer.of("pause")[0]).toMatchObject({ stream: "checked", isPaused: true, why: "a new column" });
    await call("pause", { for: "3h", why: "a new column" });
    await until(() => expect(viewer.of("pause")).toHaveLength(2));
    const [first, second] = viewer.of("pause");
    expect(second.sinceAt).toBe(first.sinceAt);
    expect(Date.parse(second.untilAt) - Date.parse(first.untilAt)).toBeGreaterThan(3_590_000);
    await call("resume");
    await until(() => expect(viewer.of("pause").at(-1)?.isPaused).toBe(false));
    expect(viewer.of("pause")).toHaveLength(3);
  });

  test("a pause whose line is not kept any more is told again, as from its beginning", async () => {
    const { url, live } = await serve();
    const pause = await fetch(`${url}/streams/checked/pause`, { method: "POST" });
    const { paused } = (await pause.json()) as Line;
    for (let n = 0; n < 2100; n++) live.note(batchOf("events"));
    const viewers = [await look(url), await look(url)];
    for (const viewer of viewers) {
      await until(() => expect(viewer.of("pause")).toHaveLength(1));
      const [told] = viewer.of("pause");
      expect(told).toMatchObject({ stream: "checked", isPaused: true });
      expect(Math.abs(Date.parse(told.sinceAt) - Date.parse(paused.since))).toBeLessThan(1000);
    }
  });

  test("what was stored since the process began is in the first line, and what comes behind it in the lines", async () => {
    const { url, live } = await serve();
    const ids = await pushEvents(world, { stream: "checked", index: 3 }, good(30));
    await drain(url);
    live.note({ ...batchOf("spillway_usage"), stored: 1 });
    for (let n = 0; n < 2100; n++) live.note({ ...batchOf("checked"), stored: 0 });
    const viewer = await look(url);
    await until(() => expect(viewer.of("counts")).toHaveLength(1));
    const { storedSoFar, cursor } = viewer.lines[0];
    const sum = storedSoFar.quarters.reduce((all: number, { stored }: Line) => all + stored, 0);
    expect(sum).toBe(30);
    ids.push(...(await pushEvents(world, { stream: "checked", index: 3 }, good(5))));
    await drain(url);
    await until(() => expect(viewer.of("batch").at(-1)?.stored).toBe(5));
    expect(viewer.of("batch").at(-1).cursor).toBeGreaterThan(cursor);
    await expectConserved(world, "checked", ids);
  });

  test("held letters that are tried again and stored, or die, are told", async () => {
    const { url } = await serve();
    const viewer = await look(url);
    const ids = await pushEvents(world, { stream: "checked", index: 0 }, [{ n: -1 }]); // nothing witnesses against it
    await drain(url);
    await until(() => expect(viewer.of("batch")[0]).toMatchObject({ held: 1, dead: 0 }));
    await world.sql.query("alter table checked drop constraint n_is_positive");
    try {
      await letPausesEnd(world);
      await drain(url);
      await until(() => expect(viewer.of("retried")).toHaveLength(1));
      expect(viewer.of("retried")[0]).toMatchObject({ stream: "checked", stored: 1, dead: 0 });
      await expectConserved(world, "checked", ids);
    } finally {
      await world.sql.query(
        "delete from checked; alter table checked add constraint n_is_positive check (n > 0)",
      );
    }
  });

  test("who is told that Redis is away is told when it is back", async () => {
    const { url } = await serve();
    const viewer = await look(url);
    await until(() => expect(viewer.of("counts").at(-1)?.streams).toEqual([]));
    world.upstash.setFault(() => ({ kind: "reset-before" }) as never);
    await until(() => expect(viewer.of("counts").at(-1)?.streams).toBeNull());
    world.upstash.setFault(undefined);
    await until(() => expect(viewer.of("counts").at(-1)?.streams).toEqual([]));
  });

  test("panels tell letters and the newest rows of a table, whoever stored them", async () => {
    const { url } = await serve();
    const viewer = await look(url, "?panels=letters,stored:checked");
    await until(() => expect(viewer.of("letters").at(-1)?.streams).toEqual([]));
    await until(() => expect(viewer.of("stored").at(-1)?.rows).toEqual([]));
    const ids = await pushEvents(world, { stream: "checked", index: 0 }, [{ n: 1 }, { n: -1 }]);
    await drain(url);
    await until(() =>
      expect(viewer.of("letters").at(-1).streams).toMatchObject([{ stream: "checked", dead: 1, held: 0 }]),
    );
    await until(() => expect(viewer.of("stored").at(-1).rows).toMatchObject([{ id: ids[0] }]));
    await expectConserved(world, "checked", ids);
  });
});

describe("going on", () => {
  test("behind a cursor nothing is missing and nothing comes twice", async () => {
    const { url } = await serve();
    const ids: string[] = [];
    const seen: Line[] = [];
    let query = "";
    for (let round = 0; round < 4; round++) {
      const viewer = await look(url, query);
      ids.push(...(await pushEvents(world, { stream: "checked", index: round }, good(5))));
      await drain(url);
      await until(() => expect(viewer.of("batch").length).toBeGreaterThan(0));
      await viewer.leave();
      ids.push(...(await pushEvents(world, { stream: "checked", index: round }, good(5))));
      await drain(url); // nobody looks on
      const [hello] = viewer.lines;
      expect(hello.isContinued).toBe(round > 0);
      seen.push(...viewer.lines.filter(({ cursor, kind }) => kind !== "hello" && cursor));
      query = `?after=${hello.ring}:${seen.at(-1).cursor}`;
    }
    const last = await look(url, query);
    await until(() => expect(last.of("drain-ended").length).toBeGreaterThan(0));
    seen.push(...last.lines.filter(({ cursor, kind }) => kind !== "hello" && cursor));
    expect(seen.map(({ cursor }) => cursor)).toEqual(seen.map((_, i) => i + 1));
    const told = seen.filter(({ kind }) => kind === "batch").flatMap((batch) => batch.ids);
    expect(told).toEqual(ids);
    await expectConserved(world, "checked", ids);
  });

  test("after a restart the history is another one, and says since when it is", async () => {
    const first = await serve();
    const before = await look(first.url);
    await until(() => expect(before.of("counts")).toHaveLength(1));
    const begunMs = Date.now();
    const second = await serve();
    const after = await look(second.url, `?after=${before.lines[0].ring}:0`);
    await until(() => expect(after.of("counts")).toHaveLength(1));
    const [hello] = after.lines;
    expect(hello.isContinued).toBe(false);
    expect(hello.ring).not.toBe(before.lines[0].ring);
    expect(Date.parse(hello.sinceAt)).toBeGreaterThanOrEqual(begunMs);
  });

  test("what is older than the lines kept comes in sums of seconds", async () => {
    const { url, live } = await serve();
    const batch = (n: number) => ({
      ...({ kind: "batch", stream: "checked", partition: 0, rows: 2, bytes: 9, stored: 1 } as const),
      ...{
        duplicates: 0,
        superseded: 0,
        held: 0,
        dead: 1,
        ids: [],
        oldestLagMs: n,
        newestLagMs: 0,
        insertMs: 3,
      },
    });
    for (let n = 1; n <= 2500; n++) live.note(batch(n));
    const viewer = await look(url);
    await until(() => expect(viewer.of("counts")).toHaveLength(1));
    const seconds = viewer.of("second").flatMap(({ streams }) => streams);
    const inSeconds = seconds.reduce((sum, { batches }) => sum + batches, 0);
    expect(inSeconds + viewer.of("batch").length).toBe(2500);
    expect(seconds.reduce((sum, { rows }) => sum + rows, 0)).toBe(2 * inSeconds);
    expect(Math.max(...seconds.map(({ oldestLagMs }) => oldestLagMs))).toBe(inSeconds);
    expect(viewer.of("behind")).toEqual([]);
    for (const cursor of [5, 999_999]) {
      const anew = await look(url, `?after=${viewer.lines[0].ring}:${cursor}`);
      await until(() => expect(anew.of("batch").at(-1)?.oldestLagMs).toBe(2500));
      expect(anew.lines[0].isContinued).toBe(false);
      const summed = anew.of("second").flatMap(({ streams }) => streams);
      const inSums = summed.reduce((sum, { batches }) => sum + batches, 0);
      expect(inSums + anew.of("batch").length).toBe(2500);
    }
    turnedMs = 16 * 60_000;
    const later = await look(url);
    await until(() => expect(later.lines.length).toBeGreaterThan(0));
    expect(later.of("second")).toEqual([]);
    expect(later.of("batch")).toEqual([]);
  });

  test.each(["?after=x", "?panels=stored:nothing", "?panels=all", "?before=1", "?panels=stored:positions"])(
    "%s is refused",
    async (query) => {
      const { url } = await serve();
      const response = await fetch(`${url}/live${query}`);
      expect(response.status).toBe(400);
      expect(await response.json()).toMatchObject({ code: "invalid-query" });
    },
  );
});

test("with a list and a lease in each partition, a pause that begins or ends is noticed by one of three questions", async () => {
  const redis = connectRedis(world.config, 2000);
  const { look: lookAtAll, hasChanged } = createWaitingLook(redis, [...world.streams.keys()]);
  for (let index = 0; index < 16; index++) {
    await pushEvents(world, { stream: "checked", index }, good(1));
    await world.redis.rename(`{spillway}:checked:pending:${index}`, `{spillway}:checked:claimed:${index}`);
  }
  const before = await lookAtAll();
  const key = "{spillway}:leads:paused";
  await world.redis.set(key, "1 {}", "PX", 60_000);
  for (let turn = 0; turn < 40; turn++) {
    const three = [turn, turn + 1, turn + 2].map((one) => hasChanged(before, one));
    expect(await Promise.all(three)).toContain(true);
  }
  const paused = await lookAtAll();
  expect(paused.pauses.get("leads")?.endsInMs).toBeGreaterThan(1000);
  const changes: boolean[] = [];
  for (let turn = 0; turn < 40; turn++) changes.push(await hasChanged(paused, turn));
  expect(changes).not.toContain(true);
  await world.redis.pexpire(key, 600_000); // somebody prolongs it
  const prolonged: boolean[] = [];
  for (let turn = 0; turn < 40; turn++) prolonged.push(await hasChanged(paused, turn));
  expect(prolonged).toContain(true);
});

describe("what it costs", () => {
  /** The commands that Redis bills while `polls` intervals pass. */
  async function billedWithin(ms: number) {
    const before = await world.upstash.billedCommands();
    await new Promise((resolve) => setTimeout(resolve, ms));
    return (await world.upstash.billedCommands()) - before;
  }

  test("while nothing changes, ten viewers cost one command an interval, as one does, and Postgres is not asked", async () => {
    let statements = 0;
    world.neon.setFault(() => {
      statements += 1;
      return undefined;
    });
    const { url } = await serve({ everyMs: 200, paused: ["checked"] });
    await pushEvents(world, { stream: "checked", index: 1 }, good(3));
    await pushEvents(world, { stream: "checked", index: 9 }, good(3));
    const first = await look(url);
    await until(() => expect(first.of("counts").at(-1)?.streams[0]?.pending).toBe(6));
    expect(await billedWithin(1000)).toBeLessThanOrEqual(6);
    const others = await Promise.all(Array.from({ length: 9 }, () => look(url)));
    const ofTen = await billedWithin(1000);
    expect(ofTen).toBeGreaterThanOrEqual(1);
    expect(ofTen).toBeLessThanOrEqual(6);
    for (const viewer of [first, ...others]) expect(viewer.of("counts").at(-1)?.streams[0]?.pending).toBe(6);
    for (const viewer of [first, ...others]) await viewer.leave();
    await until(async () => expect(await billedWithin(300)).toBe(0));
    expect(await billedWithin(1000)).toBe(0);
    expect(statements).toBe(0);
  });
});

describe("a look at everything costs so many commands, over all streams of the tests", () => {
  test.each([
    [0, "pending", 3],
    [1, "pending", 15],
    [8, "pending", 30],
    [16, "pending", 47],
    [8, "claimed", 30],
  ])("with %i partitions of which something is %s: %i at most", async (count, kind, most) => {
    const redis = connectRedis(world.config, 2000);
    const { look: lookAtAll } = createWaitingLook(redis, [...world.streams.keys()]);
    await lookAtAll(); // Redis knows the script from now on
    for (let index = 0; index < count; index++) {
      await pushEvents(world, { stream: "checked", index }, good(2));
      if (kind === "claimed")
        await world.redis.rename(
          `{spillway}:checked:pending:${index}`,
          `{spillway}:checked:claimed:${index}`,
        );
    }
    const before = await world.upstash.billedCommands();
    const { streams } = await lookAtAll();
    const cost = (await world.upstash.billedCommands()) - before;
    expect(streams.map((one) => one.pending + one.claimed)).toEqual(count === 0 ? [] : [2 * count]);
    expect(cost).toBeLessThanOrEqual(most);
  });
});

describe("how it ends", () => {
  test("on SIGTERM, at once, with a last line", async () => {
    const { url, stopping } = await serve();
    const viewer = await look(url);
    await until(() => expect(viewer.of("counts")).toHaveLength(1));
    stopping.abort();
    await viewer.ended;
    expect(viewer.lines.at(-1)).toMatchObject({ kind: "end", reason: "ending" });
  });

  test("on SIGTERM of a process as Cloud Run runs it, which asks Redis five times less often", async () => {
    const env = { PATH: process.env.PATH, ...serverSettings() };
    const [one = 0, two = 0] = await findFreePorts(2);
    const of = { target: "supervisor", source: testStreams.source } as const;
    const deployed = await startFunction({ ...of, port: one, env: { ...env, K_SERVICE: "x" } });
    ends.push(() => deployed.stop());
    const local = await startFunction({ ...of, port: two, env });
    ends.push(() => local.stop());
    const viewer = await look(`http://127.0.0.1:${one}`);
    const beside = await look(`http://127.0.0.1:${two}`);
    await until(() => expect([...viewer.of("counts"), ...beside.of("counts")]).toHaveLength(2));
    expect([viewer.lines[0].pollMs, beside.lines[0].pollMs]).toEqual([5000, 1000]);
    await deployed.stop();
    await viewer.ended;
    expect(viewer.lines.at(-1)).toMatchObject({ kind: "end", reason: "ending" });
  });

  test("when the client goes away, no timer and no listener is left", async () => {
    const { url, stopping } = await serve();
    const clear = vi.spyOn(globalThis, "clearInterval");
    const added = vi.spyOn(stopping.signal, "addEventListener");
    const removed = vi.spyOn(stopping.signal, "removeEventListener");
    const [first, second] = [await look(url), await look(url)];
    await until(() => expect(second.of("counts")).toHaveLength(1));
    expect(added).toHaveBeenCalledTimes(1);
    await first.leave();
    await second.leave();
    await until(() => expect(removed).toHaveBeenCalledTimes(1));
    expect(clear).toHaveBeenCalled();
    expect(removed.mock.calls[0]?.[1]).toBe(added.mock.calls[0]?.[1]);
    vi.restoreAllMocks();
  });

  test("after ten minutes in which nothing changes, and after 55 minutes in any case", async () => {
    const { url, live } = await serve();
    const idle = await look(url);
    await until(() => expect(idle.of("counts")).toHaveLength(1));
    turnedMs = 16_000;
    await until(() => expect(idle.of("alive").length).toBeGreaterThan(0));
    turnedMs = 599_000;
    await until(() => expect(idle.of("alive").length).toBeGreaterThan(1));
    expect(idle.of("end")).toEqual([]);
    turnedMs = 601_000;
    await idle.ended;
    expect(idle.lines.at(-1)).toMatchObject({ kind: "end", reason: "idle" });

    const longest = await look(url);
    await until(() => expect(longest.of("counts").length).toBeGreaterThan(0));
    for (let minutes = 5; minutes <= 55; minutes += 5) {
      expect(longest.of("end")).toEqual([]);
      live.note({ kind: "pause", stream: "checked", isPaused: true, untilAt: null, by: null });
      const count = longest.of("pause").length;
      await until(() => expect(longest.of("pause").length).toBeGreaterThan(count));
      turnedMs += 300_000;
      live.note({ kind: "pause", stream: "checked", isPaused: false, untilAt: null, by: null });
    }
    await longest.ended;
    expect(longest.lines.at(-1)).toMatchObject({ kind: "end", reason: "renew" });
  });

  test("a reader who takes nothing is bounded, told what it missed, or ended", async () => {
    const { url, live } = await serve();
    await fetch(`${url}/streams/checked/pause`, { method: "POST" });
    const flood = (count: number) => {
      for (let n = 0; n < count; n++)
        live.note({ kind: "pause", stream: "x".repeat(7000), isPaused: true, untilAt: null, by: null });
    };
    let text = "";
    const opened = await new Promise<{
      socket: import("node:net").Socket;
      res: import("node:http").IncomingMessage;
    }>((resolve, reject) => {
      const req = request(`${url}/live`, (res) => resolve({ socket: res.socket, res }));
      req.on("error", reject).end();
      ends.push(() => void req.destroy());
    });
    opened.res.pause();
    const other = await look(url);
    const flooded = () => other.of("pause").filter(({ stream }) => stream !== "checked").length;
    await until(() => expect(other.of("counts")).toHaveLength(1));
    for (let round = 0; round < 20; round++) {
      flood(150);
      await until(() => expect(flooded()).toBe(150 * (round + 1)));
    }
    expect(other.of("behind")).toEqual([]);
    opened.res.setEncoding("utf8").on("data", (piece: string) => {
      text += piece;
    });
    opened.res.resume();
    await until(() => expect(text).toContain('"kind":"behind"'));
    const lines = text
      .split("\n")
      .slice(0, -1)
      .map((line) => JSON.parse(line));
    const { missed } = lines.find(({ kind }) => kind === "behind");
    const again = lines.filter(({ kind, stream }) => kind === "pause" && stream === "checked");
    expect(again.at(-1).cursor).toBeGreaterThan(lines.find(({ kind }) => kind === "behind").missed);
    const cursors = lines
      .filter(({ kind }) => kind !== "hello")
      .map(({ cursor }) => cursor)
      .filter(Boolean);
    const [gap] = cursors.filter((cursor, i) => i > 0 && cursor !== cursors[i - 1] + 1);
    expect(gap - (cursors[cursors.indexOf(gap) - 1] ?? 0) - 1).toBe(missed);

    opened.res.pause();
    for (let round = 20; round < 40; round++) {
      flood(150);
      await until(() => expect(flooded()).toBe(150 * (round + 1)));
    }
    turnedMs = 61_000;
    await new Promise((resolve) => setTimeout(resolve, 300));
    opened.res.resume();
    await until(() => expect(text).toContain('"reason":"behind"'));
  });

  test("twenty look on, the next is refused until one has left", async () => {
    const { url } = await serve();
    const viewers = await Promise.all(Array.from({ length: 20 }, () => look(url)));
    const refused = await fetch(`${url}/live`);
    expect(refused.status).toBe(503);
    expect(refused.headers.get("retry-after")).toMatch(/^\d+$/);
    expect(await refused.json()).toMatchObject({ code: "instance-busy" });
    await viewers[7]?.leave();
    await until(async () => expect((await look(url)).response.status).toBe(200));
  });
});

test("with somebody looking on, 2,000 events are drained, and each is told of and stored once", async () => {
  const { url } = await serve();
  const viewer = await look(url);
  const ids: string[] = [];
  for (let index = 0; index < 8; index++)
    ids.push(...(await pushEvents(world, { stream: "checked", index }, good(250))));
  await drain(url);
  await until(() => expect(viewer.of("drain-ended")).toHaveLength(1));
  expect(viewer.of("batch").reduce((sum, { stored }) => sum + stored, 0)).toBe(2000);
  await until(() => expect(viewer.of("counts").at(-1)?.streams).toEqual([]));
  await expectConserved(world, "checked", ids);
});
