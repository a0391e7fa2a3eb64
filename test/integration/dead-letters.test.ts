/** Dead letters on real servers: what people see, what a redrive may and may not do, what the commands say. */
import { randomBytes } from "node:crypto";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { gunzipSync } from "node:zlib";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { SupervisorDeps } from "../../functions/supervisor.ts";
import { createSupervisor } from "../../functions/supervisor.ts";
import { createBuffer } from "../../lib/buffer/buffer.ts";
import { connectRedis } from "../../lib/buffer/redis-client.ts";
import { drain } from "../../lib/drain/drain.ts";
import {
  type RedriveDeps,
  type RedriveOptions,
  type RedriveProgress,
  type RedriveReport,
  redrive,
} from "../../lib/operate/redrive.ts";
import { type TrialDeps, type TriedLetter, tryRedrive } from "../../lib/operate/redrive-trial.ts";
import { idFromRaw, newId } from "../../lib/schema/event-ids.ts";
import { registryOf } from "../../lib/schema/registry.ts";
import { connect } from "../../lib/store/database.ts";
import {
  createDeadLetterStore,
  type DeadLetterStore,
  type LetterFilter,
} from "../../lib/store/dead-letter-store.ts";
import checked from "../streams/checked.ts";
import { runSpillway } from "./run-spillway.ts";
import { envelopeOf, expectConserved, openWorld, type World } from "./test-stack.ts";

let world: World;
let letters: DeadLetterStore;
/** A supervisor over the tests' streams, for the commands. */
let served: Awaited<ReturnType<World["serve"]>>;
beforeAll(async () => {
  world = await openWorld();
  served = await world.serve(createSupervisor(world.supervisor()));
  const { config, streams } = world;
  letters = createDeadLetterStore(connect(config.databaseUrl, 5000, config.neonHttpUrl), streams, 5000);
});
beforeEach(() => world.reset());
afterAll(async () => {
  await served.close();
  await world.close();
});

/** Runs a command, which asks the supervisor of this world. */
const run = (command: string, args: string[], env: Record<string, string> = {}) =>
  runSpillway([command, ...args], { env: { SUPERVISOR_URL: served.url, ...env } });

const LIVE: LetterFilter = {
  ...{ streams: [], sqlstates: [], ids: [], since: undefined, until: undefined, isAll: false },
};
const ALL = { ...LIVE, isAll: true };

const tick = (context: Partial<SupervisorDeps> = {}) =>
  drain(world.supervisor(context), { stream: "checked" }).then(({ streams }) => streams[0]);

/** A later release, whose toRow makes good rows of what died. */
const fixed = () =>
  registryOf([{ ...checked, toRow: (data) => ({ n: Math.abs((data as { n: number }).n) }) }]);

/** Pushes events that are refused, one drain each so that each dies at its own moment; returns their ids. */
async function die(events: { n: number; note?: string }[]): Promise<string[]> {
  const ids: string[] = [];
  for (const event of events) {
    const { id, envelope } = envelopeOf(event);
    await world.buffer.push({ stream: "checked", index: 0 }, [envelope]);
    await tick();
    ids.push(id);
  }
  return ids;
}

/** Buries good or bad events without a drain; returns their ids. */
async function bury(count: number, stream = "checked", data: unknown = { n: -1 }): Promise<string[]> {
  const made = Array.from({ length: count }, () => envelopeOf(data));
  await world.store.bury(
    world.streams.get(stream)!,
    made.map((one) => ({
      ...{ ...one, stream, sqlstate: "23514", reason: "SQLSTATE 23514", burials: 1, tries: 0 },
      receivedAt: new Date().toISOString(),
    })),
  );
  return made.map(({ id }) => id);
}

const context = (more: Partial<RedriveDeps> = {}): RedriveDeps => ({
  ...{ letters, buffer: world.buffer, streams: world.streams, partitions: 8, pageMaxRows: 100 },
  ...{ monotonicMs: () => 0, sleep: async () => {} },
  ...more,
});
/** Redrives to the end: the last report, and whatever was skipped on the way. */
async function redriveAndSkip(deps: Partial<RedriveDeps>, options: Partial<RedriveOptions>, filter = LIVE) {
  const skipped: RedriveProgress["skippedNow"][number][] = [];
  let report: RedriveReport | undefined;
  for await (const { skippedNow, ...one } of redrive(context(deps), filter, { rate: 100, ...options })) {
    skipped.push(...skippedNow);
    report = one;
  }
  return { report, skipped };
}
const redriveAll = async (deps: Partial<RedriveDeps> = {}, options: Partial<RedriveOptions> = {}) =>
  (await redriveAndSkip(deps, options)).report;
const rows = async () =>
  (await world.sql.query("select *, died_at::text from dead_letters order by id")).rows;
const liveIds = async () => (await letters.read(LIVE, 1000)).map(({ id }) => id);

/** A buffer that lets something happen after each push, before its letters are marked. */
const pushingThen = (then: () => Promise<unknown>): Pick<World["buffer"], "push"> => ({
  push: async (p, envelopes) => {
    const depth = await world.buffer.push(p, envelopes);
    await then();
    return depth;
  },
});

describe("what people see", () => {
  test("letters that died alike are one group, the largest first, with when and an example", async () => {
    const bad = await die([{ n: -1 }, { n: -2 }, { n: -3 }]);
    const [raised, thrown] = await die([
      { n: 1, note: "raises" },
      { n: 1, note: "toRow throws" },
    ]);
    const groups = await letters.group(LIVE, 100);
    expect(groups).toMatchObject([
      {
        ...{ letters: 3, live: 3, stream: "checked", sqlstate: "23514" },
        ...{
          reason: "check constraint violated (SQLSTATE 23514): table checked, constraint n_is_positive",
          exampleId: bad.sort().at(-1),
        },
      },
      {
        letters: 1,
        sqlstate: "P0001",
        reason: "raised by a trigger (SQLSTATE P0001): table checked",
        exampleId: raised,
      },
      { letters: 1, sqlstate: null, reason: "toRow threw RangeError", exampleId: thrown },
    ]);
    expect(groups[0]!.firstDiedAt < groups[0]!.lastDiedAt).toBe(true);
    expect(await letters.group(LIVE, 1)).toHaveLength(1);
    await expectConserved(world, "checked", [...bad, raised!, thrown!]);
  });

  test("filters by stream, SQLSTATE, id and moment find those letters, and all of them together fewer", async () => {
    const ids = await die([{ n: -1 }, { n: 1, note: "raises" }, { n: -2 }, { n: 1, note: "toRow throws" }]);
    const [a, b, c, d] = ids as [string, string, string, string];
    await bury(1, "events", { type: "t", payload: {} });
    const found = async (filter: Partial<LetterFilter>) =>
      (await letters.read({ ...LIVE, ...filter }, 100)).map(({ id }) => id);
    const diedAt = (await letters.read({ ...LIVE, ids: [c] }, 1))[0]!.diedAt;
    expect(diedAt).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);
    const streams = ["checked"];
    expect(await found({ streams })).toEqual([a, b, c, d]);
    expect(await found({ sqlstates: ["P0001", null] })).toEqual([b, d]);
    expect(await found({ sqlstates: [null] })).toEqual([d]);
    expect(await found({ ids: [d, a] })).toEqual([a, d]);
    expect(await found({ streams, since: diedAt })).toEqual([c, d]); // to the microsecond: at or after
    expect(await found({ streams, until: diedAt })).toEqual([a, b]); // and before
    expect(await found({ streams, until: diedAt, sqlstates: ["23514"] })).toEqual([a]);
    expect(await found({ streams: ["leads"] })).toEqual([]);
    await expectConserved(world, "checked", ids);
  });

  test("a letter that was redriven, or whose event was stored since, is no longer live", async () => {
    const [redriven, stored, waiting] = await die([{ n: -1 }, { n: -2 }, { n: -3 }]);
    await world.sql.query("update dead_letters set redriven_at = now() where id = $1", [redriven]);
    await world.sql.query("insert into checked (id, received_at, n) values ($1, now(), 1)", [stored]);
    expect(await liveIds()).toEqual([waiting]);
    expect(await letters.count(ALL, undefined)).toMatchObject({ letters: 3, live: 1 });
    expect(await letters.group(ALL, 10)).toMatchObject([{ letters: 3, live: 1 }]);
  });
});

describe("a redrive", () => {
  test("keeps id and history; an event that dies again is visible again, with two burials", async () => {
    const [id] = await die([{ n: -1 }]);
    const [before] = await rows();
    expect(await redriveAll()).toEqual({ redriven: 1, changed: 0, skipped: 0, stopped: undefined });
    const [marked] = await rows();
    expect(marked).toMatchObject({ id, burials: 1, died_at: before.died_at, envelope: before.envelope });
    expect(marked.redriven_at).not.toBeNull();
    expect(await liveIds()).toEqual([]);
    const [text] = await world.redis.lrange("{spillway}:checked:pending:0", 0, -1);
    expect(JSON.parse(text!)).toEqual({ ...JSON.parse(before.envelope), burials: 1 });
    await expectConserved(world, "checked", [id!]);

    expect(await tick()).toMatchObject({ dead: 0, held: 1 });
    const [again] = await rows();
    expect(again).toMatchObject({ id, burials: 2, redriven_at: null, received_at: before.received_at });
    expect(again.died_at > before.died_at).toBe(true);
    expect(await liveIds()).toEqual([id]);
    await expectConserved(world, "checked", [id!]);
  });

  test("of events that can be stored by now stores each once, under its id", async () => {
    const ids = await die([{ n: -1 }, { n: -2 }, { n: -3 }]);
    expect(await redriveAll()).toMatchObject({ redriven: 3 });
    expect(await tick({ streams: fixed() })).toMatchObject({ stored: 3, duplicates: 0, dead: 0 });
    expect(await liveIds()).toEqual([]);
    expect((await rows()).length).toBe(3); // the history stays
    await expectConserved(world, "checked", ids);
  });

  test("does not hide an event that died again before it could be marked", async () => {
    const ids = await die([{ n: -1 }, { n: -2 }]);
    expect(await redriveAll({ buffer: pushingThen(tick) })).toMatchObject({ redriven: 0, changed: 2 });
    expect(await liveIds()).toEqual(ids);
    expect((await rows()).map(({ burials }) => burials)).toEqual([2, 2]);
    await expectConserved(world, "checked", ids);
  });

  test("marks only the letters of its group that are still the death it read", async () => {
    const ids = await die([{ n: -1 }, { n: -2 }]);
    const later = "update dead_letters set died_at = died_at + interval '1 microsecond' where id = $1";
    const buffer = pushingThen(() => world.sql.query(later, [ids[0]]));
    expect(await redriveAll({ buffer })).toMatchObject({ redriven: 1, changed: 1 });
    expect(await liveIds()).toEqual([ids[0]]);
    await expectConserved(world, "checked", ids);
  });

  test("leaves what dies while it runs for the next time", async () => {
    const ids = await die([{ n: -1 }, { n: -2 }, { n: -3 }]);
    let pushes = 0;
    const buffer = pushingThen(() => {
      pushes += 1;
      return tick();
    });
    await redriveAll({ buffer, pageMaxRows: 1 });
    expect(pushes).toBe(3);
    await expectConserved(world, "checked", ids);
  });

  test("whose push lost its reply marks nothing; redriving again stores each event once", async () => {
    const ids = await die([{ n: -1 }, { n: -2 }]);
    world.upstash.setFault(({ commands }) =>
      commands[0]?.[0] === "LPUSH" ? { kind: "cut-after" } : undefined,
    );
    expect(await redriveAll()).toMatchObject({
      redriven: 0,
      stopped: expect.stringContaining("nothing of it is marked"),
    });
    world.upstash.setFault(undefined);
    expect(await liveIds()).toEqual(ids);
    await expectConserved(world, "checked", ids);
    expect(await redriveAll()).toMatchObject({ redriven: 2 });
    expect(await tick({ streams: fixed() })).toMatchObject({ stored: 2, duplicates: 2 });
    expect(await liveIds()).toEqual([]);
    await expectConserved(world, "checked", ids);
  });

  test("whose lost push was drained meanwhile has nothing left to do", async () => {
    const ids = await die([{ n: -1 }]);
    world.upstash.setFault(() => ({ kind: "cut-after" }));
    await redriveAll();
    world.upstash.setFault(undefined);
    await tick({ streams: fixed() });
    expect(await redriveAll()).toMatchObject({ redriven: 0, stopped: undefined });
    expect(await letters.purge(ALL, undefined)).toMatchObject({ letters: 1, live: 0 }); // it had been stored
    await expectConserved(world, "checked", ids);
  });

  test("marks nothing unless Redis answers the push with a number", async () => {
    const ids = await die([{ n: -1 }]);
    const odd = createServer((_, res) => void res.end('{"result":"T0s="}')); // "OK", 200
    await new Promise<void>((resolve) => odd.listen(0, "127.0.0.1", resolve));
    const restUrl = `http://127.0.0.1:${(odd.address() as AddressInfo).port}`;
    const buffer = createBuffer(connectRedis({ ...world.config, restUrl }, 2000));
    expect(await redriveAll({ buffer })).toMatchObject({ redriven: 0, stopped: expect.any(String) });
    odd.close();
    expect(await liveIds()).toEqual(ids);
    await expectConserved(world, "checked", ids);
  });

  test("whose mark got lost says so, and redriving again is harmless", async () => {
    const ids = await die([{ n: -1 }]);
    const buffer = pushingThen(async () => world.neon.setFault(() => ({ kind: "cut-before" })));
    const report = await redriveAll({ buffer });
    expect(report?.stopped).toMatch(/^Redis has 1 letter of checked, but Postgres did not confirm the mark/);
    world.neon.setFault(undefined);
    expect(await liveIds()).toEqual(ids);
    expect(await redriveAll()).toMatchObject({ redriven: 1 });
    expect(await tick()).toMatchObject({ held: 2 });
    expect(await rows()).toMatchObject([{ burials: 2, redriven_at: null }]); // two copies, one new death
    await expectConserved(world, "checked", ids);
  });

  test("pushes no faster than its rate, over the partitions in turn", async () => {
    const ids = await bury(250);
    let clock = 5000;
    const pushes: [atMs: number, partition: number, count: number][] = [];
    await redriveAll({
      monotonicMs: () => clock,
      sleep: async (ms) => {
        clock += ms;
      },
      partitions: 2,
      buffer: {
        push: (p, envelopes) => {
          pushes.push([clock, p.index, envelopes.length]);
          clock += 10; // a push takes its time too
          return world.buffer.push(p, envelopes);
        },
      },
    });
    expect(pushes).toEqual([
      [5000, 0, 100],
      [6000, 1, 100],
      [7000, 0, 50],
    ]);
    await expectConserved(world, "checked", ids);
  });

  test("at a rate below a page pushes that many at once, and stops at its limit", async () => {
    const ids = await bury(10);
    const counts: number[] = [];
    const buffer: RedriveDeps["buffer"] = {
      push: (p, envelopes) => {
        counts.push(envelopes.length);
        return world.buffer.push(p, envelopes);
      },
    };
    expect(await redriveAll({ buffer }, { rate: 3, limit: 7 })).toMatchObject({ redriven: 7 });
    expect(counts).toEqual([3, 3, 1]);
    expect(await liveIds()).toHaveLength(3);
    await expectConserved(world, "checked", ids);
  });

  test("leaves large letters in pushes that Upstash takes", async () => {
    const note = randomBytes(1_425_000).toString("base64"); // 1.9 MB that packing does not make shorter
    const ids = await bury(3, "checked", { n: 1, note });
    expect(await redriveAll({ pageMaxRows: 4 })).toMatchObject({ redriven: 3 });
    expect(await world.redis.llen("{spillway}:checked:pending:0")).toBe(2);
    expect(await world.redis.llen("{spillway}:checked:pending:1")).toBe(1);
    await expectConserved(world, "checked", ids);
  });

  test("of a large event packs it again", async () => {
    const event = { n: -1, note: "abc ".repeat(1000) };
    const [id] = await die([event]);
    expect(await redriveAll()).toMatchObject({ redriven: 1 });
    const [text = ""] = await world.redis.lrange("{spillway}:checked:pending:0", 0, -1);
    expect(JSON.parse(text)).toMatchObject({ id, burials: 1, gzip: expect.any(String) });
    const packed = Buffer.from(JSON.parse(text).gzip, "base64");
    expect(gunzipSync(packed).toString()).toBe(JSON.stringify(event));
    await expectConserved(world, "checked", [id!]);
  });

  test("of what an older release could not read stores it under its own id", async () => {
    const { id, packed } = envelopeOf({ n: 1, note: "abc ".repeat(1000) });
    await world.sql.query(
      "insert into dead_letters (stream, id, envelope, reason, burials) values ($1, $2, $3, 'not an envelope', 1)",
      ["checked", idFromRaw("checked", "", packed), packed],
    );
    expect(await redriveAll()).toMatchObject({ redriven: 1, skipped: 0 });
    expect(await liveIds()).toEqual([]);
    expect(await tick()).toMatchObject({ stored: 1, dead: 0 });
    await expectConserved(world, "checked", [id]);
  });

  test("passes over what can't be redriven, says why, and goes on", async () => {
    await world.redis.lpush("{spillway}:checked:pending:0", "nonsense");
    await tick();
    const insert =
      "insert into dead_letters (stream, id, envelope, reason, burials) values ($1, $2, $3, 'r', 1)";
    await world.sql.query(insert, ["gone", newId(), envelopeOf({ n: 1 }).envelope]);
    await world.sql.query(insert, ["checked", newId(), envelopeOf({ n: 1 }).envelope]);
    const [id] = await die([{ n: -1 }]);
    const { report, skipped } = await redriveAndSkip({}, {});
    expect(report).toMatchObject({ redriven: 1, skipped: 3, stopped: undefined });
    expect(skipped.map(({ why }) => why).sort()).toEqual([
      expect.stringMatching(/^its envelope bears another id/),
      'no stream is named "gone", so nothing would drain it',
      "what was buffered is not an envelope",
    ]);
    expect(await liveIds()).toHaveLength(3);
    await world.sql.query("delete from dead_letters where id <> $1", [id]); // the rest was never accepted
    await expectConserved(world, "checked", [id!]);
  });
});

describe("a dry run of a redrive", () => {
  /** Everything that a dry run must leave as it is. */
  const everything = async () => [
    await rows(),
    (await world.sql.query("select * from checked order by id")).rows,
    (await world.sql.query("select * from leads order by id")).rows,
    await world.redis.keys("*"),
  ];

  /** Tries to the end, shows that nothing was changed, and returns each letter's outcome by its id. */
  async function dryRun(deps: Partial<TrialDeps> = {}, filter = LIVE, limit?: number) {
    const before = await everything();
    const found: Record<string, TriedLetter["outcome"] | string> = {};
    let stopped: string | undefined;
    const all = { letters, store: world.store, streams: world.streams, pageMaxRows: 100, ...deps };
    for await (const page of tryRedrive(all, filter, { limit })) {
      for (const { letter, outcome } of page.tried) found[letter.id] = outcome;
      for (const { letter, why } of page.skipped) found[letter.id] = why;
      stopped = page.stopped;
    }
    expect(await everything()).toEqual(before);
    return { found, stopped };
  }
  const refused = (sqlstate: string | undefined, reason: string) => ({ kind: "refused", sqlstate, reason });
  const CHECK = refused(
    "23514",
    "check constraint violated (SQLSTATE 23514): table checked, constraint n_is_positive",
  );

  test("says of each letter whether it would be stored, and why not, and changes nothing", async () => {
    const [good] = await bury(1, "checked", { n: 1 });
    const [lead] = await bury(1, "leads", { name: "a", source: "b" });
    const [bad, raised, full, terminated, thrown] = await bury5();
    const { found, stopped } = await dryRun();
    expect(stopped).toBeUndefined();
    expect(found).toEqual({
      [good!]: { kind: "stored" },
      [lead!]: { kind: "stored" },
      [bad!]: CHECK,
      [raised!]: refused("P0001", "raised by a trigger (SQLSTATE P0001): table checked"),
      [full!]: refused("53100", "disk full (SQLSTATE 53100): table checked, function checked_trigger"),
      [terminated!]: refused(
        "57P01",
        "server shutting down (SQLSTATE 57P01): table checked, function checked_trigger",
      ),
      [thrown!]: refused(undefined, "toRow threw RangeError"),
    });
    await expectConserved(world, "checked", [good, bad, raised, full, terminated, thrown] as string[]);
  });

  /** Letters that die in five ways, two of them by a RAISE that pretends to be the server. */
  const bury5 = async () =>
    (
      await Promise.all(
        [
          { n: -1 },
          { n: 1, note: "raises" },
          { n: 1, note: "disk full" },
          { n: 1, note: "terminated" },
          { n: 1, note: "toRow throws" },
        ].map((event) => bury(1, "checked", event)),
      )
    ).flat();

  test("reads every page, and stops at its limit", async () => {
    const ids = await bury(7);
    expect(Object.values((await dryRun({ pageMaxRows: 3 })).found)).toEqual(Array(7).fill(CHECK));
    expect(Object.values((await dryRun({ pageMaxRows: 3 }, LIVE, 5)).found)).toEqual(Array(5).fill(CHECK));
    await expectConserved(world, "checked", ids);
  });

  test("of a later release says what that release would store", async () => {
    const ids = await bury(2);
    const { found } = await dryRun({ streams: fixed() });
    expect(Object.values(found)).toEqual([{ kind: "stored" }, { kind: "stored" }]);
    await expectConserved(world, "checked", ids);
  });

  test("tells what is there already, what the table swallows, and what a trigger gives another id", async () => {
    const [stored, swallowed, renamed, good] = (
      await Promise.all(["s", "swallow", "rename", "g"].map((note) => bury(1, "checked", { n: 1, note })))
    ).flat() as [string, string, string, string];
    await world.sql.query("insert into checked (id, received_at, n) values ($1, now(), 1)", [stored]);
    await world.sql.query("update dead_letters set redriven_at = now() where id = $1", [stored]);
    await world.sql.query(`create function dry() returns trigger language plpgsql as $$ begin
        if new.note = 'swallow' then return null; end if;
        if new.note = 'rename' then new.id := gen_random_uuid(); end if;
        return new;
      end $$;
      create trigger dry before insert on checked for each row execute function dry()`);
    try {
      expect((await dryRun({}, ALL)).found).toEqual({
        [stored]: { kind: "there" },
        [swallowed]: refused(undefined, "the table swallowed the row"),
        [renamed]: { kind: "other-key" },
        [good]: { kind: "stored" },
      });
    } finally {
      await world.sql.query("drop trigger dry on checked; drop function dry()");
    }
    await expectConserved(world, "checked", [stored, swallowed, renamed, good]);
  });

  test("finds two letters of which only one can be stored, and a constraint that is checked at the end", async () => {
    const [first, second] = (await bury(2, "checked", { n: 5 })).sort() as [string, string];
    const [orphan] = await bury(1, "checked", { n: 7 });
    await world.sql.query(`create table parents (n integer primary key); insert into parents values (5);
      alter table checked add constraint one_n unique (n),
        add constraint parent foreign key (n) references parents deferrable initially deferred`);
    try {
      expect((await dryRun()).found).toEqual({
        [first]: { kind: "stored" },
        [second]: refused("23505", "unique key taken (SQLSTATE 23505): table checked, constraint one_n"),
        [orphan!]: refused(
          "23503",
          "foreign key without its row (SQLSTATE 23503): table checked, constraint parent",
        ),
      });
    } finally {
      await world.sql.query(
        "alter table checked drop constraint one_n, drop constraint parent; drop table parents",
      );
    }
    await expectConserved(world, "checked", [first, second, orphan!]);
  });

  test("passes over what can't be redriven", async () => {
    const [newer] = await bury(1, "checked", { n: 1 });
    await world.sql.query(
      `update dead_letters set envelope = replace(envelope, '"v":1', '"v":2') where id = $1`,
      [newer],
    );
    await world.sql.query(
      "insert into dead_letters (stream, id, envelope, reason, burials) values ('gone', $1, 'x', 'r', 1)",
      [newId()],
    );
    expect(Object.values((await dryRun()).found).sort()).toEqual([
      "it was buffered by a newer release",
      'no stream is named "gone", so nothing would drain it',
    ]);
  });

  test("a slow row alone would die again, and the rows beside it would be stored", async () => {
    const [slow] = await bury(1, "checked", { n: 1, note: "sleeps" });
    const good = await bury(3, "checked", { n: 1 });
    const { found } = await dryRun({ store: world.storeWithin(1000) });
    expect(found[slow!]).toEqual(
      refused("57014", "statement took too long (SQLSTATE 57014): table checked, function checked_trigger"),
    );
    expect(good.map((id) => found[id])).toEqual(Array(3).fill({ kind: "stored" }));
    await expectConserved(world, "checked", [slow!, ...good]);
  });

  test("tries nothing where the server or the table is at fault, and blames no letter", async () => {
    const ids = await bury(3);
    const whole = "create function dry() returns trigger language plpgsql as $$ begin raise 'no'; end $$";
    const faults: [change: string, undo: string, says: RegExp][] = [
      [
        "alter table checked rename n to m",
        "alter table checked rename m to n",
        /undefined column \(SQLSTATE 42703\)/,
      ],
      [
        `${whole}; create trigger dry before insert on checked execute function dry()`,
        "drop trigger dry on checked; drop function dry()",
        /raised by a trigger \(SQLSTATE P0001\)/,
      ],
    ];
    for (const [change, undo, says] of faults) {
      await world.sql.query(change);
      const { found, stopped } = await dryRun().finally(() => world.sql.query(undo));
      expect([found, stopped]).toEqual([{}, expect.stringMatching(says)]);
    }
    // As on a full disk, the insert without rows succeeds.
    const full = { message: "no", severity: "ERROR", code: "53100", routine: "mdextend" };
    for (const fault of [
      { kind: "refuse" },
      { kind: "status-429" },
      { kind: "answer", status: 400, body: JSON.stringify(full) },
    ] as const) {
      world.neon.setFault(({ queries }) =>
        queries.some(
          ({ query, params }) => query.includes("set_config('spillway.rows'") && params[0] !== "[]",
        )
          ? fault
          : undefined,
      );
      const { found, stopped } = await dryRun();
      expect([found, stopped]).toEqual([
        {},
        expect.stringContaining("Postgres did not try 3 letters of checked"),
      ]);
    }
    world.neon.setFault(undefined);
    await expectConserved(world, "checked", ids);
  });

  test("on the command line groups letters that would die alike, without their data", async () => {
    const note = "s3cret";
    const good = await bury(2, "checked", { n: 1, note });
    const bad = await bury(3, "checked", { n: -1, note });
    const before = await everything();
    const { code, out, err } = await run("dead-letters", ["redrive", "--dry-run"]);
    expect([code, out + err]).toEqual([0, expect.not.stringContaining("s3cret")]);
    expect(out).toMatch(/^2 would be stored, 3 would die again:\n/);
    expect(out).toMatch(/ 3 {2}checked +23514 +check constraint violated \(SQLSTATE 23514\).*n_is_positive/);
    expect(out).toMatch(/Nothing was changed/);
    world.neon.setFault(({ queries }) =>
      queries.some((one) => one.query.startsWith("do ")) ? { kind: "refuse" } : undefined,
    );
    const stopped = await run("dead-letters", ["redrive", "--dry-run"]);
    expect(stopped).toMatchObject({
      code: 1,
      out: expect.stringContaining("Not all were tried. Postgres did not try"),
    });
    expect(await everything()).toEqual(before);
    await expectConserved(world, "checked", [...good, ...bad]);
  });
});

test("on the command line a table that is missing is said beside the letters, of all streams", async () => {
  const ids = await bury(1);
  const [other] = await bury(1, "events", { type: "t", payload: {} });
  await world.sql.query("alter table checked rename to gone");
  try {
    const why =
      "Letters of checked were not compared with its table, so some of them may be stored: undefined table (SQLSTATE 42P01): table checked; table checked is missing.";
    for (const words of [
      ["list"],
      ["list", "--each"],
      ["list", "--all"],
      ["purge", "--dry-run", "--all-letters"],
    ])
      expect(await run("dead-letters", words)).toMatchObject({ code: 0, out: expect.stringContaining(why) });
    const each = await run("dead-letters", ["list", "--each"]);
    expect(each.out).toMatch(new RegExp(`${ids[0]} +checked[\\s\\S]*${other} +events`));
    const alone = await run("dead-letters", ["list", "--stream", "events"]);
    expect(alone).toMatchObject({ code: 0, out: expect.not.stringContaining("compared") });
    const tried = await run("dead-letters", ["redrive", "--dry-run"]);
    expect(tried.code).toBe(1);
    expect(tried.out).toMatch(
      /1 would be stored, 0 would die again\.\nNot all were tried\. Postgres did not try 1 letter of checked \(/,
    );
  } finally {
    await world.sql.query("alter table gone rename to checked");
  }
  await expectConserved(world, "checked", ids);
  await expectConserved(world, "events", [other!]);
});

describe("a purge", () => {
  test("deletes what its filter finds, the oldest first, and counts what is lost", async () => {
    const [a, b, c] = (await die([{ n: -1 }, { n: 1, note: "raises" }, { n: -2 }])) as [
      string,
      string,
      string,
    ];
    const refused = { ...LIVE, sqlstates: ["23514"] };
    expect(await letters.count(refused, 1)).toMatchObject({ letters: 1, live: 1 });
    expect(await letters.purge(refused, 1)).toMatchObject({ letters: 1, live: 1 });
    expect(await liveIds()).toEqual([b, c]);
    await expectConserved(world, "checked", [b, c]); // a is lost, on purpose
    await world.sql.query("update dead_letters set redriven_at = now() where id = $1", [b]);
    expect(await letters.purge({ ...LIVE, ids: [a, b] }, undefined)).toMatchObject({ letters: 0, live: 0 });
    expect(await letters.purge(ALL, undefined)).toMatchObject({ letters: 2, live: 1 });
    expect(await rows()).toEqual([]);
  });
});

describe("the commands", () => {
  const event = { type: "t", payload: { secret: "s3cret" } };

  test("dead-letters list, show, redrive and purge do what they say", async () => {
    const ids = await bury(3, "events", event);
    const [first, second] = ids as [string, string];
    const list = await run("dead-letters", ["list"]);
    expect(list).toMatchObject({
      code: 0,
      out: expect.stringMatching(/3 {2}events {2}23514 +SQLSTATE 23514/),
    });
    const each = await run("dead-letters", ["list", "--each", "--id", first, "--since", "1h"]);
    expect(each.out).toContain(first);
    expect(list.out + list.err + each.out + each.err).not.toContain("s3cret");
    expect((await run("dead-letters", ["show", first])).out).toContain('"secret":"s3cret"');

    const dry = await run("dead-letters", ["redrive", "--dry-run"]);
    expect(dry).toMatchObject({
      code: 0,
      out: expect.stringMatching(/^3 would be stored, 0 would die again\.\nNothing was changed/),
    });
    const redriven = await run("dead-letters", ["redrive", "--id", first, "--id", second, "--rate", "1000"]);
    expect(redriven).toMatchObject({ code: 0, out: expect.stringContaining("2 letters redriven") });
    await expectConserved(world, "events", ids);
    await drain(world.supervisor(), { stream: "events" });
    await expectConserved(world, "events", ids);

    const purged = await run("dead-letters", ["purge", "--stream", "events", "--yes"]);
    expect(purged).toMatchObject({
      code: 0,
      out: expect.stringMatching(/1 event is lost, on purpose/),
    });
    await expectConserved(world, "events", [first, second]);
  });

  test.each([
    [[], /expected list, show, redrive or purge/],
    [["list", "--nonsense"], /Unknown option '--nonsense'/],
    [["list", "--yes"], /--yes is for purge/],
    [["list", "--since", "yesterday"], /--since: expected/],
    [["redrive", "--rate", "0"], /--rate: expected a whole number/],
    [["redrive", "--sqlstate", "x"], /--sqlstate: expected/],
    [["show"], /show: expected one id/],
    [["show", "1"], /expected the id as a UUID/],
    [["purge", "--yes"], /expected a filter, or --all-letters/],
    [["purge", "--all-letters"], /expected --dry-run first, then --yes/],
  ])("dead-letters %j is wrong usage", async (args, says) => {
    const ids = await bury(1);
    expect(await run("dead-letters", args)).toMatchObject({
      code: 2,
      out: "",
      err: expect.stringMatching(says),
    });
    await expectConserved(world, "checked", ids);
  });

  test("failures are a sentence and exit 1, never a stack trace", async () => {
    const missing = await run("dead-letters", ["show", newId()]);
    expect(missing).toMatchObject({ code: 1, err: expect.stringContaining("There is no dead letter") });
    const halfSet = await run("dead-letters", ["list"], {
      SUPERVISOR_URL: "",
      DATABASE_URL: "",
      ...world.redisEnv,
    });
    expect(halfSet).toMatchObject({ code: 1, err: expect.stringContaining("DATABASE_URL: expected") });
    world.neon.setFault(() => ({ kind: "refuse" }));
    const down = await run("dead-letters", ["list"]);
    expect(down).toMatchObject({ code: 1, err: expect.stringContaining("Postgres does not answer") });
    world.neon.setFault(undefined);
    const ids = await bury(1, "events", event);
    world.upstash.setFault(() => ({ kind: "refuse" }));
    const stopped = await run("dead-letters", ["redrive"]);
    expect(stopped).toMatchObject({
      code: 1,
      out: expect.stringContaining("Redis did not confirm 1 letter"),
    });
    for (const { err, out } of [missing, halfSet, down, stopped]) expect(out + err).not.toMatch(/\n\s+at /);
    await expectConserved(world, "events", ids);
  });

  test("drain and status ask the supervisor, and say why something does not drain", async () => {
    const { url, close } = await world.serve(createSupervisor(world.supervisor()));
    const env = { SUPERVISOR_URL: `${url}/` };
    const { id, envelope } = envelopeOf({ n: 1 });
    await world.buffer.push({ stream: "checked", index: 2 }, [envelope]);
    world.neon.setFault(() => ({ kind: "refuse" }));
    const failed = await run("drain", ["checked"], env);
    expect(failed).toMatchObject({ code: 1, out: expect.stringMatching(/checked +unavailable/) });
    expect((await run("status", [], env)).out).toMatch(/checked\/2 +1 +the last try ended with: no answer/);
    world.neon.setFault(undefined);
    const drained = await run("drain", ["--wait"], env);
    expect(drained).toMatchObject({ code: 0, out: expect.stringMatching(/checked +empty +1 +1 +0 +0 +0/) });
    const foreign = "{spillway}:checked:pending:9";
    await world.redis.set(foreign, "a string");
    expect((await run("status", [], env)).out).toMatch(
      /checked\/9 +0 +the last try ended with: a key of this partition holds another type: \S+:pending:9/,
    );
    await world.redis.del(foreign);
    const status = await run("status", ["--json"], env);
    expect(JSON.parse(status.out).streams.map((one: { stream: string }) => one.stream)).toContain("checked");
    expect((await run("status", [], env)).out).toContain("The buffer is empty.");
    expect(await run("drain", ["nope"], env)).toMatchObject({ code: 1, err: expect.stringContaining("404") });
    expect(await run("drain", ["a", "b"], env)).toMatchObject({ code: 2 });
    await close();
    expect(await run("status", [], env)).toMatchObject({
      ...{ code: 1, err: expect.stringContaining("does not answer") },
    });
    await expectConserved(world, "checked", [id]);
  });

  test("status tells everything that keeps a partition from draining", async () => {
    const waits = {
      heldForSeconds: null,
      batchAgeSeconds: null,
      crashes: 0,
      lastSqlstate: null,
      lastReason: null,
    };
    const none = {
      pending: 0,
      sealed: 0,
      claimed: 0,
      oldestAgeSeconds: null,
      isPaused: false,
      paused: null,
      deadLetters: null,
      heldLetters: null,
      heldLettersForSeconds: null,
      heldLettersReason: null,
      lettersNotCompared: null,
      tableDifferences: null,
      partitions: [],
    };
    const partitions = [
      { ...waits, partition: 0, depth: 5 },
      { ...waits, partition: 1, depth: 1200, heldForSeconds: 12, batchAgeSeconds: 300, crashes: 2 },
      { ...waits, partition: 2, depth: 7, lastSqlstate: "42P01", lastReason: "SQLSTATE 42P01" },
    ];
    const paused = {
      ...none,
      stream: "checked",
      isPaused: true,
      paused: { since: null, until: null, by: null, why: null, isInEnvironment: true },
      partitions: [{ ...waits, partition: 3, depth: 4 }],
    };
    const report = { streams: [{ ...none, stream: "events", partitions }, paused] };
    const { url, close } = await world.serve(async (_, res) => void res.end(JSON.stringify(report)));
    const { out } = await run("status", [], { SUPERVISOR_URL: url });
    await close();
    expect(out).toMatch(/events\/0 +5 +nothing in its way: the next tick takes it/);
    expect(out).toMatch(
      /events\/1 +1,200 +2 drain calls died with the batch in hand; a drain call has held it for 12 s; .* 5 min ago/,
    );
    expect(out).toMatch(/events\/2 +7 +the last try ended with: SQLSTATE 42P01\n/);
    expect(out).toMatch(/checked\/3 +4 +the stream is in DRAIN_PAUSED\n/);
    expect(out).toContain("Postgres does not answer the supervisor");
  });
});
