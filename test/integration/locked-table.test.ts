/**
 * A locked table holds up its own stream and no other, however few the slots. Nothing here looks at a clock: a run that waits
 * for the lock does so for much longer than a test lasts, and the test itself ends the lock or the wait.
 */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { drain } from "../../lib/drain/drain.ts";
import { deadlineIn } from "../../lib/flow/deadline.ts";
import { FairSlots } from "../../lib/flow/fair-slots.ts";
import { accept } from "../../lib/ingest/accept.ts";
import { createWriteThrough } from "../../lib/ingest/write-through.ts";
import { newId } from "../../lib/schema/event-ids.ts";
import type { Store } from "../../lib/store/store.ts";
import { type Ingest, serveIngest } from "./test-ingest.ts";
import { envelopeOf, expectConserved, openWorld, type World } from "./test-stack.ts";

/** Each waits for a lock for 0.3 of it: longer than a test, or not for long. */
const PATIENT_MS = 600_000;
const IMPATIENT_MS = 500;

let world: World;
let patient: Store;
let impatient: Store;
let unlock: () => Promise<void> = async () => {};
beforeAll(async () => {
  world = await openWorld();
  patient = world.storeWithin(PATIENT_MS);
  impatient = world.storeWithin(IMPATIENT_MS);
});
beforeEach(() => world.reset());
afterEach(() => unlock());
afterAll(() => world.close());

/** Locks a table until `unlock`. */
async function lock(table: string): Promise<void> {
  const locker = await world.sql.connect();
  await locker.query(`begin; lock table ${table} in access exclusive mode`);
  unlock = async () => {
    unlock = async () => {};
    await locker.query("rollback");
    locker.release();
  };
}

/** How many statements wait for a lock. */
const waiting = async () =>
  Number(
    (await world.sql.query("select count(distinct pid) as n from pg_locks where not granted")).rows[0].n,
  );

const until = (get: () => Promise<number>, n: number) =>
  expect.poll(get, { timeout: 20_000, interval: 20 }).toBe(n);

describe("in the drain", () => {
  const PARTITIONS = 6;
  const FULL_BATCH = 100;

  /** Pushes a full batch into each of the first partitions; returns the ids. */
  async function fill(stream: "checked" | "events"): Promise<string[]> {
    const ids: string[] = [];
    for (let index = 0; index < PARTITIONS; index++) {
      const made = Array.from({ length: FULL_BATCH }, (_, i) =>
        envelopeOf(stream === "checked" ? { n: i + 1 } : { type: "t", payload: i }),
      );
      await world.buffer.push(
        { stream, index },
        made.map(({ envelope }) => envelope),
      );
      ids.push(...made.map(({ id }) => id));
    }
    return ids;
  }
  const storedEvents = async () =>
    Number((await world.sql.query("select count(*) from events")).rows[0].count);
  const outcomeOf = (report: Awaited<ReturnType<typeof drain>>, stream: string) =>
    report.streams.find((one) => one.stream === stream)?.outcome;

  test("with two slots, the first call already stores all of another stream while the lock is waited for", async () => {
    const [checked, events] = [await fill("checked"), await fill("events")];
    await lock("checked");
    const call = drain(world.supervisor({ store: patient, slots: new FairSlots(2) }), {});
    await until(storedEvents, events.length);
    expect(await waiting()).toBeGreaterThanOrEqual(1);
    await unlock();
    await call;
    await expectConserved(world, "events", events);
    await expectConserved(world, "checked", checked);
  });

  test("later calls hold one statement of the locked stream, beside the slots, and flushes don't pile up behind it", async () => {
    const slots = new FairSlots(2);
    const checked = await fill("checked");
    await lock("checked");
    expect(outcomeOf(await drain(world.supervisor({ store: impatient, slots }), {}), "checked")).toBe(
      "unavailable",
    );
    const events = await fill("events");
    const context = world.supervisor({ store: patient, slots });
    const calls = [
      drain(context, {}),
      ...[0, 1, 2].map((partition) => drain(context, { stream: "checked", partition })),
    ];
    await until(waiting, 1);
    await until(storedEvents, events.length);
    events.push(...(await fill("events")));
    calls.push(drain(context, {})); // one more tick
    await until(storedEvents, events.length);
    expect(await waiting()).toBe(1);
    await unlock();
    await Promise.all(calls);
    await drain(context, {});
    await expectConserved(world, "events", events);
    await expectConserved(world, "checked", checked);
    expect((await world.sql.query("select 1 from checked")).rows).toHaveLength(checked.length);
  });

  test("calls that waited for the one statement are unavailable as soon as it gives up, and claimed nothing", async () => {
    const slots = new FairSlots(2);
    const checked = await fill("checked");
    await lock("checked");
    await drain(world.supervisor({ store: impatient, slots }), {});
    let runs = 0;
    let inserts = 0;
    const counted = {
      run: ((name, work) => {
        runs += 1;
        return slots.run(name, work);
      }) as FairSlots["run"],
    };
    const store: Store = {
      ...impatient,
      insert: async (...given) => {
        inserts += 1;
        await vi.waitFor(() => expect(runs).toBe(PARTITIONS + 2), { timeout: 20_000 }); // all are there
        return impatient.insert(...given);
      },
    };
    const claim = vi.fn(world.buffer.claim);
    const context = world.supervisor({ store, slots: counted, buffer: { ...world.buffer, claim } });
    const reports = await Promise.all([
      drain(context, { stream: "checked" }),
      drain(context, { stream: "checked", partition: 1 }),
      drain(context, { stream: "checked", partition: 2 }),
    ]);
    expect(reports.map((report) => outcomeOf(report, "checked"))).toEqual(Array(3).fill("unavailable"));
    expect([inserts, claim.mock.calls.length]).toEqual([1, 1]);
    await unlock();
    await drain(world.supervisor({ slots }), {});
    await expectConserved(world, "checked", checked);
  });

  test("a batch that was settled before the stream was blocked is acknowledged", async () => {
    const slots = new FairSlots(1);
    const checked = [...(await fill("checked")), ...(await fill("checked"))];
    let inserts = 0;
    const store: Store = {
      ...impatient,
      insert: async (...given) => {
        inserts += 1;
        if (inserts === 2) await lock("checked");
        return impatient.insert(...given);
      },
    };
    const context = world.supervisor({ store, slots });
    const flush = (partition: number) => drain(context, { stream: "checked", partition });
    // 0 stores a batch, 1 finds the lock, 2 is on probation, and 0 waits for it with its settled batch in hand
    const [first] = await Promise.all([flush(0), flush(1), flush(2)]);
    expect(first.streams).toMatchObject([{ stored: FULL_BATCH, outcome: "unavailable" }]);
    expect(inserts).toBe(3);
    await unlock();
    const { streams } = await drain(world.supervisor({ slots }), { stream: "checked" });
    expect(streams).toMatchObject([{ stored: checked.length - FULL_BATCH, duplicates: 0 }]);
    await expectConserved(world, "checked", checked);
  });

  test("a partition whose id another transaction holds doesn't keep its stream's other partitions, with one slot", async () => {
    const slots = new FairSlots(1);
    const checked = await fill("checked");
    const holder = await world.sql.connect();
    await holder.query("begin");
    await holder.query("insert into checked (id, received_at, n) values ($1, now(), 5)", [checked[0]]);
    for (let calls = 0; calls < 2 * PARTITIONS; calls++)
      await drain(world.supervisor({ store: impatient, slots }), {});
    expect((await world.sql.query("select 1 from checked")).rows).toHaveLength(checked.length - FULL_BATCH);
    await holder.query("rollback");
    holder.release();
    await drain(world.supervisor({ slots }), {});
    await expectConserved(world, "checked", checked);
  });
});

describe("in write-through, with two slots", () => {
  let ingest: Ingest;
  let current: Store;
  beforeEach(async () => {
    current = impatient;
    const store: Store = { ...patient, insert: (...given) => current.insert(...given) };
    ingest = await serveIngest(world, { store, writeThroughConcurrency: 2 });
  });
  afterEach(() => ingest.close());

  const lead = () => ingest.post("leads", { name: "n", source: "s" });
  const event = () => ingest.post("events", { type: "t", payload: 1 }, { query: "?ack=stored" });

  test("posts to another stream are answered 201 while those to the locked one still wait", async () => {
    await lock("leads");
    expect((await lead()).status).toBe(503);
    current = patient;
    let answered = 0;
    const leads = Array.from({ length: 8 }, () =>
      lead().finally(() => {
        answered += 1;
      }),
    );
    await until(waiting, 1);
    const events = await Promise.all(Array.from({ length: 8 }, event));
    events.push(await event());
    expect(events.map(({ status }) => status)).toEqual(Array(9).fill(201));
    expect([answered, await waiting()]).toEqual([0, 1]);
    await unlock();
    const stored = await Promise.all(leads);
    expect(stored.map(({ status }) => status)).toEqual(Array(8).fill(201));
    const ids = (answers: typeof events) => answers.flatMap(({ body }) => body.ids as string[]);
    await expectConserved(world, "leads", ids(stored));
    await expectConserved(world, "events", ids(events));
  });

  test("who waited for the one insert is not accepted, and asks for no further one, once that one gives up", async () => {
    await lock("leads");
    let inserts = 0;
    const store: Store = {
      ...impatient,
      insert: (...given) => {
        inserts += 1;
        return impatient.insert(...given);
      },
    };
    const stream = world.streams.get("leads");
    if (stream === undefined) throw new Error("expected the stream leads");
    const writeThrough = createWriteThrough(store, 2);
    const send = () => {
      const dataJson = JSON.stringify({ name: "n", source: "s" });
      const envelope = {
        v: 1,
        id: newId(),
        receivedAt: new Date().toISOString(),
        burials: undefined,
        dataJson,
      };
      return accept(
        { push: async () => {}, writeThrough, setAside: async () => new Set<string>() },
        stream,
        "stored",
        [envelope],
        deadlineIn(60_000),
      );
    };
    const refused = { kind: "not-accepted", why: "unanswered" };
    expect(await send()).toEqual(refused);
    expect(await Promise.all([send(), send(), send()])).toEqual([refused, refused, refused]);
    expect(inserts).toBe(1 + 2); // the third shared an insert of its own, after those two
    await unlock();
    expect(await send()).toMatchObject({ kind: "accepted", ack: "stored" });
    expect((await world.sql.query("select 1 from leads")).rows).toHaveLength(1);
  });
});
