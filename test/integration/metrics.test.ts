/** `GET /metrics` on real servers: what it says, and what it costs. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { createSupervisor } from "../../functions/supervisor.ts";
import { measureRoughly } from "../../lib/buffer/measure.ts";
import { createWaitingLook } from "../../lib/buffer/waiting.ts";
import { Live } from "../../lib/operate/live.ts";
import { Metrics } from "../../lib/operate/metrics.ts";
import { SharedLook } from "../../lib/operate/shared-look.ts";
import { askSupervisor } from "./documented.ts";
import { envelopeOf, expectConserved, openWorld, pushEvents, type World } from "./test-stack.ts";

const P = { stream: "checked", index: 2 };
const YOUNG_MS = 5000;

let world: World;
let served: Awaited<ReturnType<World["serve"]>>;
let nowMs: number;
let monotonicMs: number;
beforeAll(async () => {
  world = await openWorld();
});
beforeEach(async () => {
  await world.reset();
  nowMs = Date.now();
  monotonicMs = 1000;
  served = await world.serve(createSupervisor(supervised()));
});
afterEach(() => served.close());
afterAll(() => world.close());

/** A supervisor as wire-supervisor.ts makes it, with clocks of the test's own. */
function supervised(paused: ReadonlySet<string> = new Set()) {
  const { streams, store } = world;
  const client = world.servers.redis.within(2000);
  const clock = () => monotonicMs;
  const waiting = new SharedLook(createWaitingLook(client, [...streams.keys()]), {
    ...{ monotonicMs: clock, youngMs: YOUNG_MS },
  });
  const deps = world.supervisor({ paused });
  const live = new Live({ ...deps, store, waiting, everyMs: YOUNG_MS });
  const measure = (keys: readonly string[]) => measureRoughly(client, keys);
  const metrics = new Metrics({ streams, waiting, paused, measure, now: () => nowMs });
  return { ...deps, live, metrics };
}

/** The samples of one scrape, by `name{labels}`. */
async function scrape(url = served.url): Promise<Record<string, number>> {
  const { status, headers, body } = await askSupervisor(url, "/metrics");
  expect([status, headers.get("content-type")]).toEqual([200, "text/plain; version=0.0.4; charset=utf-8"]);
  const lines = (body as string).split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return Object.fromEntries(
    lines.map((line) => [
      line.slice(0, line.lastIndexOf(" ")),
      Number(line.slice(line.lastIndexOf(" ") + 1)),
    ]),
  );
}

const post = (path: string) => askSupervisor(served.url, path, { method: "POST" });
const of = (name: string, stream = "checked") => `${name}{stream="${stream}"}`;
const drains = (kind: string, outcome: string) =>
  `spillway_drains_total{kind="${kind}",outcome="${outcome}"}`;

describe("counters", () => {
  test("rise with what the drains of the process did, and are there at 0 before", async () => {
    const before = await scrape();
    const names = [
      "batches",
      "stored_events",
      "duplicate_events",
      "superseded_events",
      "held_events",
      "dead_events",
    ];
    for (const name of names) expect([name, before[of(`spillway_${name}_total`)]]).toEqual([name, 0]);
    expect(before[drains("tick", "empty")]).toBe(0);

    const ids = await pushEvents(world, P, [{ n: 1 }, { n: 2 }, { n: -1 }]);
    await post("/drain");
    const [first = ""] = ids;
    await world.buffer.push(P, [envelopeOf({ n: 1 }, { id: first }).envelope]); // stored before
    await post("/drain/checked");
    await post("/drain/checked?partition=2");

    const after = await scrape();
    expect(after).toMatchObject({
      [of("spillway_batches_total")]: 2,
      [of("spillway_stored_events_total")]: 2,
      [of("spillway_duplicate_events_total")]: 1,
      [of("spillway_dead_events_total")]: 1,
      [of("spillway_held_events_total")]: 0,
      [drains("tick", "empty")]: 1,
      [drains("stream", "empty")]: 1,
      [drains("flush", "empty")]: 1,
    });
    await expectConserved(world, "checked", ids);
  });

  test("tell failures, by what has to be done", async () => {
    const ids = await pushEvents(world, P, [{ n: 1 }]);
    world.neon.setFault(() => ({ kind: "refuse" }));
    await post("/drain");
    world.neon.setFault(undefined);
    expect(await scrape()).toMatchObject({
      'spillway_drain_failures_total{stream="checked",outcome="unavailable"}': 1,
      'spillway_drain_failures_total{stream="checked",outcome="misconfigured"}': 0,
      'spillway_drain_failures_total{stream="events",outcome="unavailable"}': 0,
      [drains("tick", "unavailable")]: 1,
      [drains("tick", "empty")]: 0,
    });
    await expectConserved(world, "checked", ids);
  });

  test("are declared as counters, and gauges as gauges", async () => {
    const { body } = await askSupervisor(served.url, "/metrics");
    const types = [...(body as string).matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name = "", type]) => [
      name,
      type,
    ]);
    expect(types.length).toBeGreaterThan(10);
    for (const [name = "", type] of types)
      expect([name, type]).toEqual([name, name.endsWith("_total") ? "counter" : "gauge"]);
  });
});

describe("gauges", () => {
  test("say how much waits, how old it is, and how large it is", async () => {
    const made = [envelopeOf({ n: 1 }, { at: nowMs - 90_000 }), envelopeOf({ n: 2 }, { at: nowMs - 30_000 })];
    const [old, young] = made as [(typeof made)[number], (typeof made)[number]];
    await world.buffer.push(P, [old.envelope]);
    await world.buffer.push({ ...P, index: 7 }, [young.envelope]);
    const samples = await scrape();
    expect(samples).toMatchObject({
      [of("spillway_waiting_events")]: 2,
      [of("spillway_waiting_bytes")]: old.envelope.length + young.envelope.length,
      [of("spillway_oldest_waiting_seconds")]: 90,
      [of("spillway_waiting_events", "events")]: 0,
      [of("spillway_waiting_bytes", "events")]: 0,
      [of("spillway_oldest_waiting_seconds", "events")]: 0,
      spillway_buffer_up: 1,
    });
    await expectConserved(world, "checked", [old.id, young.id]);
  });

  test("of a long list estimate its bytes by a sample", async () => {
    const made = Array.from({ length: 1000 }, (_, n) => envelopeOf({ n: n + 1 }));
    await world.buffer.push(
      P,
      made.map(({ envelope }) => envelope),
    );
    const bytes = made.reduce((sum, { envelope }) => sum + envelope.length, 0);
    const { [of("spillway_waiting_bytes")]: said = 0 } = await scrape();
    expect(said / bytes).toBeCloseTo(1, 1);
    await expectConserved(
      world,
      "checked",
      made.map(({ id }) => id),
    );
  });

  test("say which streams are paused, at run time or by the deployment", async () => {
    await post("/streams/events/pause");
    const other = await world.serve(createSupervisor(supervised(new Set(["checked"]))));
    const samples = await scrape(other.url);
    await other.close();
    expect(samples).toMatchObject({
      [of("spillway_stream_paused")]: 1,
      [of("spillway_stream_paused", "events")]: 1,
      [of("spillway_stream_paused", "leads")]: 0,
    });
  });

  test("are missing while Redis is away, and what was counted is there", async () => {
    await post("/drain");
    world.upstash.setFault(() => ({ kind: "refuse" }));
    const samples = await scrape();
    world.upstash.setFault(undefined);
    expect(samples).toMatchObject({ spillway_buffer_up: 0, [drains("tick", "empty")]: 1 });
    expect(Object.keys(samples).filter((name) => name.startsWith("spillway_waiting"))).toEqual([]);
    expect(await scrape()).toMatchObject({ spillway_buffer_up: 1, [of("spillway_waiting_events")]: 0 });
  });
});

test("each label is a stream of the release or a word of ours, whatever is in Redis", async () => {
  await world.redis.lpush("{spillway}:no_such_stream:pending:0", "x");
  await world.redis.set("{spillway}:checked:pending:9", "of another type");
  const samples = await scrape();
  const streams = Object.keys(samples).flatMap((name) => /stream="([^"]*)"/.exec(name)?.[1] ?? []);
  const release = [...world.streams.keys()].filter((name) => !name.startsWith("spillway_"));
  expect([...new Set(streams)].sort()).toEqual(release.sort());
  expect(samples.spillway_buffer_up).toBe(1);
});

describe("a scrape", () => {
  /** What Redis and Postgres are asked meanwhile. */
  async function asked(work: () => Promise<unknown>) {
    const calls = async () =>
      [...(await world.redis.info("commandstats")).matchAll(/^cmdstat_(\w+):calls=(\d+)/gm)]
        .filter(([, name = ""]) => name !== "info")
        .reduce((sum, [, , count]) => sum + Number(count), 0);
    let queries = 0;
    world.neon.setFault(() => {
      queries += 1;
      return undefined;
    });
    const before = await calls();
    await work();
    const after = await calls();
    world.neon.setFault(undefined);
    return { commands: after - before, queries };
  }

  test("asks Postgres nothing; of an empty buffer it asks Redis a script of two commands, and ten at once ask it once", async () => {
    const one = await asked(() => scrape());
    monotonicMs += YOUNG_MS;
    const ten = await asked(() => Promise.all(Array.from({ length: 10 }, () => scrape())));
    expect([one.queries, ten.queries]).toEqual([0, 0]);
    expect(one.commands).toBeLessThanOrEqual(4);
    expect(ten.commands).toBe(one.commands);
  });

  test("takes a look that is young, and what waits is looked at anew when it is not", async () => {
    await scrape();
    const ids = await pushEvents(world, P, [{ n: 1 }]);
    monotonicMs += YOUNG_MS - 1;
    const again = await asked(async () =>
      expect(await scrape()).toMatchObject({ [of("spillway_waiting_events")]: 0 }),
    );
    expect(again.commands).toBe(0);
    monotonicMs += 1;
    expect(await scrape()).toMatchObject({ [of("spillway_waiting_events")]: 1 });
    await expectConserved(world, "checked", ids);
  });

  test("takes the look of somebody who looks on, and asks nothing of its own", async () => {
    const looking = new AbortController();
    const response = await fetch(`${served.url}/live`, { signal: looking.signal });
    const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    while (!text.includes('"kind":"counts"')) text += (await reader?.read())?.value ?? "";
    const { commands } = await asked(() => scrape());
    looking.abort();
    await reader?.read().catch(() => {});
    expect(commands).toBe(0);
  });
});
