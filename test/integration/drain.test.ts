/** The drain on real servers: what is stored, what is buried, what is kept, and what people are told. */
import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import type { SupervisorDeps } from "../../functions/supervisor.ts";
import { createBuffer } from "../../lib/buffer/buffer.ts";
import { connectRedis } from "../../lib/buffer/redis-client.ts";
import { drain } from "../../lib/drain/drain.ts";
import { registryOf } from "../../lib/schema/registry.ts";
import checked from "../streams/checked.ts";
import {
  envelopeOf,
  expectConserved,
  good,
  openWorld,
  pushEvents,
  type World,
  whereabouts,
} from "./test-stack.ts";

let world: World;
beforeAll(async () => {
  world = await openWorld();
});
beforeEach(() => world.reset());
afterAll(() => world.close());

const P = { stream: "checked", index: 3 };

/** Pushes events of `checked` one after the other, and returns their ids, oldest first. */
const push = (events: { n: number; note?: string }[], index = P.index) =>
  pushEvents(world, { ...P, index }, events);
const tick = (context: Partial<SupervisorDeps> = {}) =>
  drain(world.supervisor(context), { stream: "checked" }).then(({ streams }) => streams[0]);
/** Terms under which an insert that hangs is ended soon. */
const quick = () => ({ leaseMs: 1000, store: world.storeWithin(500) });
/** Stores a batch as a drain would, but by hand. */
async function storeByHand(envelopes: readonly string[]): Promise<void> {
  for (const text of envelopes)
    await world.sql.query("insert into checked (id, received_at, n) values ($1, now(), 1)", [
      (JSON.parse(text) as { id: string }).id,
    ]);
}
const events = () => world.said.map(({ event }) => event);

describe("what a drain stores", () => {
  test("a tick drains everything, in full batches and one last one, and leaves no key behind", async () => {
    const ids = await push(good(250));
    expect(await tick()).toMatchObject({
      batches: 3,
      stored: 250,
      duplicates: 0,
      dead: 0,
      remaining: 0,
      outcome: "empty",
    });
    expect(await world.redis.keys("*")).toEqual([]);
    await expectConserved(world, "checked", ids);
  });

  test("values arrive as they were sent", async () => {
    const made = envelopeOf({ n: 5, note: `ä "quoted" \\ 😀 \n` });
    await world.buffer.push(P, [made.envelope]);
    await tick();
    const { rows } = await world.sql.query("select * from checked");
    expect(rows).toMatchObject([{ id: made.id, n: 5, note: `ä "quoted" \\ 😀 \n` }]);
    expect(rows[0].received_at.getTime()).toBeLessThanOrEqual(Date.now());
  });

  test("an event pushed twice is stored once, and the first is kept", async () => {
    const id = "0190b3c4-aaaa-7bbb-8ccc-000000000001";
    await world.buffer.push(P, [
      envelopeOf({ n: 1 }, { id }).envelope,
      envelopeOf({ n: 2 }, { id }).envelope,
    ]);
    expect(await tick()).toMatchObject({ stored: 1, duplicates: 1 });
    expect((await world.sql.query("select n from checked")).rows).toEqual([{ n: 1 }]);
    await expectConserved(world, "checked", [id]);
  });

  test("an eager flush takes full batches only", async () => {
    const ids = await push(good(250));
    const flush = () => drain(world.supervisor(), { stream: "checked", partition: P.index });
    expect((await flush()).streams[0]).toMatchObject({
      batches: 2,
      stored: 200,
      remaining: 50,
      outcome: "short",
    });
    expect((await flush()).streams[0]).toMatchObject({ batches: 0, remaining: 50, outcome: "short" });
    await expectConserved(world, "checked", ids);
  });

  describe("a claim is bounded in bytes, so that Upstash can answer it, whatever the rows of a batch", () => {
    /** Pushes events of 100 KB that no packing makes shorter. A push of 50 is 5 MB. */
    async function pushLarge(count: number): Promise<string[]> {
      const ids: string[] = [];
      while (ids.length < count)
        ids.push(
          ...(await push(
            Array.from({ length: 50 }, () => ({ n: 1, note: randomBytes(75_000).toString("base64") })),
          )),
        );
      return ids;
    }
    /** A buffer that keeps the size of each claim's reply. */
    function measured() {
      const bytes: number[] = [];
      const claim: typeof world.buffer.claim = async (...args) => {
        const reply = await world.buffer.claim(...args);
        bytes.push(JSON.stringify(reply).length);
        return reply;
      };
      return { bytes, buffer: { ...world.buffer, claim } };
    }

    test("a tick drains 300 events of 100 KB with BATCH_MAX_ROWS of 1000, to the end", async () => {
      const ids = await pushLarge(300);
      const { bytes, buffer } = measured();
      expect(await tick({ batchMaxRows: 1000, buffer })).toMatchObject({
        ...{ stored: 300, duplicates: 0, remaining: 0, outcome: "empty" },
      });
      expect(Math.max(...bytes)).toBeLessThan(10_000_000);
      expect(await world.redis.keys("*")).toEqual([]);
      await expectConserved(world, "checked", ids);
    });

    test("an eager flush goes on while a full batch of rows is there, and leaves the rest to a tick", async () => {
      const ids = await pushLarge(150);
      const { bytes, buffer } = measured();
      const flush = await drain(world.supervisor({ batchMaxRows: 100, buffer }), {
        ...{ stream: "checked", partition: P.index },
      });
      const { stored = 0, remaining } = flush.streams[0] ?? {};
      expect(flush.streams[0]).toMatchObject({ outcome: "short" });
      expect(stored).toBeGreaterThan(50); // more than one claim
      expect([stored + (remaining ?? 0), (remaining ?? 0) < 100]).toEqual([150, true]);
      expect(Math.max(...bytes)).toBeLessThan(10_000_000);
      expect(await tick({ batchMaxRows: 100, buffer })).toMatchObject({
        stored: remaining,
        outcome: "empty",
      });
      await expectConserved(world, "checked", ids);
    });

    test("a batch in hand that is too large is drained in parts", async () => {
      const ids = await pushLarge(150);
      await world.redis.rename("{spillway}:checked:pending:3", "{spillway}:checked:claimed:3");
      const claim = { name: "of an earlier release", token: "gone:1", outcome: "returned", crashes: "0" };
      await world.redis.hset("{spillway}:checked:claim:3", claim);
      const young = await push(good(5));
      const { bytes, buffer } = measured();
      expect(await tick({ batchMaxRows: 1000, buffer })).toMatchObject({
        ...{ stored: 155, duplicates: 0, remaining: 0, outcome: "empty" },
      });
      expect(Math.max(...bytes)).toBeLessThan(10_000_000);
      await expectConserved(world, "checked", [...ids, ...young]);
    });
  });

  test("every partition is drained, whatever PARTITIONS says", async () => {
    const ids: string[] = [];
    for (let partition = 0; partition < 16; partition++) ids.push(...(await push(good(3), partition)));
    expect(await tick()).toMatchObject({ batches: 16, stored: 48, remaining: 0 });
    await expectConserved(world, "checked", ids);
  });

  test("two supervisors and an eager flush at once store each event once", async () => {
    const ids: string[] = [];
    for (let partition = 0; partition < 4; partition++) ids.push(...(await push(good(500), partition)));
    const flush = drain(world.supervisor(), { stream: "checked", partition: 0 });
    const reports = await Promise.all([tick(), tick(), flush.then(({ streams }) => streams[0])]);
    const sum = (field: "stored" | "duplicates") =>
      reports.reduce((n, report) => n + (report?.[field] ?? 0), 0);
    expect(sum("stored")).toBe(2000);
    expect(sum("duplicates")).toBe(0); // a lease kept each batch in one hand
    await tick();
    await expectConserved(world, "checked", ids);
  });

  test("an event is drained before any that was pushed after the seal that took it", async () => {
    const old = await push(good(150));
    const claimant = { token: "t:1", leaseMs: 4000, count: 100, fullBatchesOnly: false, startedAtMs: 0 };
    const young: string[] = [];
    const order: string[] = [];
    let settled = "";
    for (let round = 0; round < 5; round++) {
      const claim = await world.buffer.claim(P, claimant, settled); // the first seals: 50 of the old ones wait
      if (claim.kind !== "batch") throw new Error(`expected a batch, got ${claim.kind}`);
      await storeByHand(claim.envelopes);
      order.push(...claim.envelopes.map((text) => (JSON.parse(text) as { id: string }).id));
      settled = claim.name;
      young.push(...(await push(good(150)))); // faster than the drain
    }
    expect(new Set(order.slice(0, 150))).toEqual(new Set(old));
    await world.buffer.release(P, claimant, settled);
    await tick();
    await expectConserved(world, "checked", [...old, ...young]);
  });
});

describe("a poison row never holds up its batch", () => {
  test("of 100 with 3 that the table refuses, 97 are stored and 3 are dead letters; the drain goes on", async () => {
    const batch = good(100);
    for (const bad of [0, 50, 99]) batch[bad] = { n: -1 };
    const ids = [...(await push(batch)), ...(await push(good(30)))];
    expect(await tick()).toMatchObject({ stored: 127, dead: 3, remaining: 0, outcome: "empty" });
    const { rows } = await world.sql.query("select sqlstate, reason, burials from dead_letters");
    expect(rows).toEqual(
      Array(3).fill({
        sqlstate: "23514",
        reason: "check constraint violated (SQLSTATE 23514): table checked, constraint n_is_positive",
        burials: 1,
      }),
    );
    await expectConserved(world, "checked", ids);
  });

  test.each(["raises", "toRow throws", "disk full"])(
    "one that ends in '%s' is buried alone",
    async (note) => {
      const ids = await push([...good(9), { n: 1, note }]);
      expect(await tick()).toMatchObject({ stored: 9, dead: 1 });
      await expectConserved(world, "checked", ids);
    },
  );

  test("one whose insert never ends is ended by Postgres, and buried alone", async () => {
    const ids = await push([...good(3), { n: 1, note: "sleeps" }]);
    for (let calls = 0; calls < 5; calls++) await tick(quick());
    const { rows } = await world.sql.query("select sqlstate from dead_letters");
    expect(rows).toEqual([{ sqlstate: "57014" }]);
    await expectConserved(world, "checked", ids);
  });

  test("one that hangs is found even where a whole bisect takes longer than a drain call may", async () => {
    const ids = await push([...good(11), { n: 1, note: "sleeps" }]);
    for (let calls = 0; calls < 12; calls++) await tick({ ...quick(), drainDeadlineMs: 1500 });
    expect((await world.sql.query("select sqlstate from dead_letters")).rows).toEqual([
      { sqlstate: "57014" },
    ]);
    expect(await world.redis.keys("*:[0-9]*")).toEqual([]);
    await expectConserved(world, "checked", ids);
  });

  test("however short the deadline, every drain call gets somewhere", async () => {
    const ids = await push([...good(5), { n: -1 }, ...good(5)]);
    for (let calls = 0; calls < 40; calls++) await tick({ drainDeadlineMs: 0 });
    expect((await whereabouts(world, "checked")).dead).toEqual([ids[5]]);
    await expectConserved(world, "checked", ids);
  });

  test("what looks like an envelope but names no moment is a dead letter too, and holds nothing up", async () => {
    const odd = { v: 1, id: "0190b3c4-aaaa-7bbb-8ccc-000000000009", receivedAt: "1", data: { n: 1 } };
    await world.redis.lpush("{spillway}:checked:pending:3", JSON.stringify(odd));
    await push(good(2));
    expect(await tick()).toMatchObject({ stored: 2, dead: 1, outcome: "empty" });
  });

  test("of a redriven event and a copy sent again that both die, the letter is visible again", async () => {
    const { id, envelope } = envelopeOf({ n: -1 });
    const { envelope: redriven } = envelopeOf({ n: -1 }, { id, burials: 1 });
    await world.buffer.push(P, [envelope]);
    await tick();
    await world.sql.query("update dead_letters set redriven_at = now()");
    await world.buffer.push(P, [redriven, envelope]);
    await tick();
    expect((await world.sql.query("select burials, redriven_at from dead_letters")).rows).toEqual([
      { burials: 2, redriven_at: null },
    ]);
    await expectConserved(world, "checked", [id]);
  });

  test("what is no envelope is a dead letter too", async () => {
    await world.redis.lpush("{spillway}:checked:pending:0", "nonsense \0", "{}");
    const ids = await push(good(2));
    expect(await tick()).toMatchObject({ stored: 2, dead: 2 });
    expect((await world.sql.query("select reason from dead_letters")).rows).toEqual(
      Array(2).fill({ reason: "not an envelope" }),
    );
    const { stored } = await whereabouts(world, "checked");
    expect(stored.sort()).toEqual(ids.sort());
  });

  test("a stored id is never buried", async () => {
    const id = "0190b3c4-aaaa-7bbb-8ccc-000000000002";
    await world.buffer.push(P, [envelopeOf({ n: 1 }, { id }).envelope]);
    await tick();
    await world.buffer.push(P, [envelopeOf({ n: -1 }, { id }).envelope]);
    await tick();
    expect((await world.sql.query("select id from dead_letters")).rows).toEqual([]);
    await expectConserved(world, "checked", [id]);
  });

  test("a late copy of an earlier burial does not undo a redrive; a new burial does", async () => {
    const { id, envelope } = envelopeOf({ n: -1 });
    await world.buffer.push(P, [envelope]);
    await tick();
    await world.sql.query("update dead_letters set redriven_at = now()");
    await world.buffer.push(P, [envelope]); // a ghost
    await tick();
    expect(
      (await world.sql.query("select redriven_at from dead_letters")).rows[0].redriven_at,
    ).not.toBeNull();
    await world.buffer.push(P, [envelopeOf({ n: -1 }, { id, burials: 1 }).envelope]); // what a redrive pushes
    await tick();
    expect((await world.sql.query("select burials, redriven_at from dead_letters")).rows).toEqual([
      { burials: 2, redriven_at: null },
    ]);
    await expectConserved(world, "checked", [id]);
  });
});

describe("while Postgres is not usable nothing is lost and nobody is blamed", () => {
  const outage = async (fault: Parameters<World["neon"]["setFault"]>[0]) => {
    const ids = await push(good(250));
    world.neon.setFault(fault);
    for (let calls = 0; calls < 5; calls++)
      expect(await tick()).toMatchObject({ stored: 0, dead: 0, outcome: "unavailable" });
    world.neon.setFault(undefined);
    expect(await tick()).toMatchObject({ stored: 250, dead: 0, outcome: "empty" });
    expect(events()).not.toContain("claim.recovered");
    await expectConserved(world, "checked", ids);
  };

  test.each(["refuse", "cut-before", "status-429", "status-500", "nonsense"] as const)(
    "%s: every batch is kept, no crash is counted",
    (kind) => outage(() => ({ kind })),
  );

  test("57P01 is an outage even while other statements succeed: nobody is blamed", async () => {
    const ids = await push([{ n: 1, note: "sleeps" }]);
    for (let calls = 0; calls < 2; calls++) {
      const ticked = tick();
      await vi.waitFor(async () => {
        const { rows } = await world.sql.query(
          "select pg_terminate_backend(pid) from pg_stat_activity where wait_event = 'PgSleep'",
        );
        expect(rows).toHaveLength(1);
      });
      expect(await ticked).toMatchObject({ stored: 0, dead: 0, outcome: "unavailable" });
    }
    await expectConserved(world, "checked", ids);
  });

  test("a partition whose keys change while the busy ones are looked for is not overlooked", async () => {
    const ids = [...(await push(good(1), 0)), ...(await push(good(1), 15))];
    let looked = 0;
    world.upstash.setFault(({ path }) => {
      looked += 1;
      if (path === "/pipeline" && looked === 2)
        for (const kind of ["sealed", "claimed"]) void world.redis.rpush(`{spillway}:checked:${kind}:0`, "");
      return undefined;
    });
    const { busy } = await world.buffer.findWork(["checked"]);
    expect(busy.map(({ index }) => index)).toEqual([0, 15]);
    await world.redis.del("{spillway}:checked:sealed:0", "{spillway}:checked:claimed:0");
    await expectConserved(world, "checked", ids);
  });

  test("the first sign ends the call for all partitions", async () => {
    for (let partition = 0; partition < 16; partition++) await push(good(2), partition);
    let inserts = 0;
    world.neon.setFault(() => {
      inserts += 1;
      return { kind: "refuse" };
    });
    await tick();
    expect(inserts).toBeLessThanOrEqual(2 * world.config.drainConcurrency); // an insert and a probe a slot
  });

  test("a missing table is said loudly and blames nobody", async () => {
    const ids = await push(good(20));
    await world.sql.query("alter table checked rename to elsewhere");
    expect(await tick()).toMatchObject({ stored: 0, dead: 0, outcome: "misconfigured" });
    await world.sql.query("alter table elsewhere rename to checked");
    expect(events()).toContain("store.misconfigured");
    expect(await tick()).toMatchObject({ stored: 20 });
    await expectConserved(world, "checked", ids);
  });

  test("behind a table lock nothing is buried and no statement piles up", async () => {
    const ids = await push(good(50));
    const locker = await world.sql.connect();
    await locker.query("begin; lock table checked in access exclusive mode");
    for (let calls = 0; calls < 3; calls++)
      expect(await tick(quick())).toMatchObject({ dead: 0, outcome: "unavailable" });
    const waiting = await world.sql.query(
      "select count(*)::int as n from pg_stat_activity where wait_event_type = 'Lock'",
    );
    expect(waiting.rows[0].n).toBe(0);
    await locker.query("rollback");
    locker.release();
    expect(await tick()).toMatchObject({ stored: 50 });
    await expectConserved(world, "checked", ids);
  });

  test("an insert whose reply is lost is absorbed by the primary key", async () => {
    const ids = await push(good(100));
    let isFirst = true;
    world.neon.setFault(() => {
      const fault = isFirst ? ({ kind: "cut-after" } as const) : undefined;
      isFirst = false;
      return fault;
    });
    await tick();
    await tick();
    await expectConserved(world, "checked", ids);
  });
});

describe("a claim whose reply is lost, an acknowledgement whose reply is lost", () => {
  test.each([1, 2, 3, 4, 5, 6])("cut after command %i: nothing lost, nothing stored twice", async (nth) => {
    const ids = await push(good(250));
    let seen = 0;
    world.upstash.setFault(() => (++seen === nth ? { kind: "cut-after" } : undefined));
    const context = world.supervisor();
    for (let calls = 0; calls < 3; calls++)
      await drain(context, { stream: "checked", wait: true }).catch(() => {});
    world.upstash.setFault(undefined);
    await drain(context, { stream: "checked", wait: true });
    await expectConserved(world, "checked", ids);
    expect(await world.redis.keys("*")).toEqual([]);
  });
});

describe("the batch that kills its drainer", () => {
  /** A drain call that dies with its batch in hand, at once: its lease is taken away. */
  const die = async () => {
    const claim = await world.buffer.claim(P, {
      token: `${Math.random()}:1`,
      leaseMs: 4000,
      count: 100,
      fullBatchesOnly: false,
      startedAtMs: 0,
    });
    await world.redis.del("{spillway}:checked:lease:3");
    return claim.kind === "batch"
      ? claim.envelopes.map((text) => (JSON.parse(text) as { id: string }).id)
      : [];
  };

  test("is narrowed until the culprit alone is a dead letter", async () => {
    const ids = await push(good(10));
    const culprit = ids[4] ?? "";
    let crashes = 0;
    for (let calls = 0; calls < 40; calls++) {
      // Whoever holds the culprit dies; whoever does not drains it.
      const claimant = {
        token: `${calls}:1`,
        leaseMs: 4000,
        count: 100,
        fullBatchesOnly: false,
        startedAtMs: 0,
      };
      let claim = await world.buffer.claim(P, claimant);
      while (claim.kind === "batch" && !claim.envelopes.some((text) => text.includes(culprit))) {
        await storeByHand(claim.envelopes);
        claim = await world.buffer.claim(P, claimant, claim.name);
      }
      await world.redis.del("{spillway}:checked:lease:3");
      if (claim.kind !== "batch" || claim.crashesAlone === 3) break;
      crashes += 1;
    }
    expect(crashes).toBe(6);
    const toRow = vi.fn(() => ({ n: 1 })); // it may be what kills: it is not run again
    expect(await tick({ streams: registryOf([{ ...checked, toRow }]) })).toMatchObject({
      stored: 0,
      dead: 1,
    });
    expect(toRow).not.toHaveBeenCalled();
    expect((await world.sql.query("select id from dead_letters")).rows).toEqual([{ id: culprit }]);
    await expectConserved(world, "checked", ids);
  });

  test("ten kills in a row of a drain that holds good events bury none of them", async () => {
    const ids = await push(good(20));
    for (let kills = 0; kills < 10; kills++) await die();
    expect(await tick()).toMatchObject({ stored: 20, dead: 0 });
    await expectConserved(world, "checked", ids);
  });
});

describe("a drain that is told to end", () => {
  test("finishes the batch in hand and hands the lease back", async () => {
    const ids = await push(good(250));
    const stopping = new AbortController();
    world.neon.setFault(() => {
      stopping.abort(); // while the first insert is on its way
      return undefined;
    });
    expect(await tick({ stopping: stopping.signal })).toMatchObject({
      batches: 1,
      stored: 100,
      outcome: "deadline",
    });
    expect(await world.redis.exists("{spillway}:checked:lease:3", "{spillway}:checked:claimed:3")).toBe(0);
    expect(await tick()).toMatchObject({ stored: 150, duplicates: 0 });
    await expectConserved(world, "checked", ids);
  });

  test("the deadline ends it too, and what is left waits for the next", async () => {
    const ids = await push(good(250));
    let nowMs = 0;
    world.neon.setFault(() => {
      nowMs = 60_000;
      return undefined;
    });
    expect(await tick({ monotonicMs: () => nowMs })).toMatchObject({
      batches: 1,
      outcome: "deadline",
      remaining: null,
    });
    await tick();
    await expectConserved(world, "checked", ids);
  });
});

describe("what it costs", () => {
  const billed: string[][] = [];
  const count = () => {
    billed.length = 0;
    world.upstash.setFault(({ commands }) => {
      billed.push(...commands);
      return undefined;
    });
  };

  test("an idle tick is one EXISTS and no query", async () => {
    let queries = 0;
    world.neon.setFault(() => {
      queries += 1;
      return undefined;
    });
    count();
    const { streams } = await drain(world.supervisor(), {});
    expect(streams.map(({ outcome }) => outcome)).toEqual(streams.map(() => "empty"));
    expect(billed.map(([name]) => name)).toEqual(["EXISTS"]);
    expect(queries).toBe(0);
  });

  test("a tick with one event waiting among ten streams costs at most 32 billed commands, calls inside scripts counted", async () => {
    const ids = await push(good(1));
    await drain(world.supervisor(), {}); // loads the scripts
    ids.push(...(await push(good(1))));
    await world.redis.config("RESETSTAT");
    await drain(world.supervisor(), {});
    const stats = await world.redis.info("commandstats");
    const calls = [...stats.matchAll(/cmdstat_([\w|]+):calls=(\d+)/g)]
      .filter(([, name]) => !["info", "config|resetstat"].includes(name ?? ""))
      .reduce((sum, [, , n]) => sum + Number(n), 0);
    expect(calls).toBeGreaterThan(5);
    expect(calls).toBeLessThanOrEqual(32); // each doubling of the streams costs two more
    await expectConserved(world, "checked", ids);
  });
});

test("a drain while Redis is away throws nothing away and says so", async () => {
  const ids = await push(good(10));
  world.upstash.setFault(() => ({ kind: "refuse" }));
  expect(await tick()).toMatchObject({ stored: 0, remaining: null, outcome: "unavailable" });
  expect(events()).toEqual(["buffer.unavailable", "drain.finished"]);
  world.upstash.setFault(undefined);
  expect(await tick()).toMatchObject({ stored: 10 });
  await expectConserved(world, "checked", ids);
});

test("a paused stream is not drained, and says that it is held", async () => {
  const ids = await push(good(5));
  expect(await tick({ paused: new Set(["checked"]) })).toMatchObject({
    stored: 0,
    remaining: null,
    outcome: "held",
  });
  await expectConserved(world, "checked", ids);
});

test("a held partition is left in peace; under wait it is tried until it is free", async () => {
  const ids = await push(good(5));
  const slow = createBuffer(connectRedis(world.config, 2000));
  await slow.claim(P, {
    token: "other:1",
    leaseMs: 1000,
    count: 100,
    fullBatchesOnly: false,
    startedAtMs: 0,
  });
  expect(await tick()).toMatchObject({ stored: 0, outcome: "held", remaining: null });
  const report = await drain(world.supervisor(), { stream: "checked", wait: true });
  expect(report.streams[0]).toMatchObject({ stored: 5, outcome: "empty" });
  await expectConserved(world, "checked", ids);
});
