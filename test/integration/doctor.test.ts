/** What the doctor finds, on real servers. */
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { type KeyCommands, serveKeyCommands } from "./key-commands.ts";
import { envelopeOf, openWorld, type World } from "./test-stack.ts";

let world: World;
let doctor: KeyCommands;
beforeAll(async () => {
  world = await openWorld();
});
beforeEach(async () => {
  await world.reset();
  // A new one each time, because it remembers for a minute how the tables were.
  doctor = await serveKeyCommands(world, {
    paused: new Set(["events"]),
    doubts: [{ setting: "FLUSH_THRESHOLD", reason: "it is odd" }],
  });
});
afterEach(() => doctor.close());
afterAll(() => world.close());

interface Finding {
  what: string;
  severity: string;
  say: string;
  do: string;
}
const examine = async (): Promise<Finding[]> => {
  const { status, body } = await doctor.call("GET", "/doctor");
  expect(status).toBe(200);
  for (const { say, do: cure } of body.findings)
    expect([say, cure]).toEqual([expect.stringMatching(/\w/), expect.stringMatching(/\w/)]);
  return body.findings;
};
/** The findings beside those that this world always has. */
const found = async () =>
  (await examine()).filter(({ what }) => what !== "stream-paused" && what !== "setting-doubted");

test("where all is well, only what somebody wanted is said", async () => {
  await doctor.create("app", { expires: "90d" });
  expect((await examine()).map(({ what, severity }) => [what, severity])).toEqual([
    ["setting-doubted", "warning"],
    ["stream-paused", "info"],
  ]);
});

test("a key that expires soon is a warning, and one that a newer one replaces is not", async () => {
  const key = await doctor.create("app", { expires: "10d" });
  expect(await found()).toMatchObject([
    { what: "key-expiring", severity: "warning", say: expect.stringContaining('"app"') },
  ]);
  expect(JSON.stringify(await examine())).not.toContain(key);
  await doctor.rotate("app", { expires: "90d" });
  expect(await found()).toMatchObject([{ what: "key-expiring", severity: "info" }]);
  await doctor.revoke("app");
  expect(await found()).toEqual([]);
});

test("a key's name that is in the environment, too, is said", async () => {
  await doctor.create("app");
  await world.sql.query("update api_keys set name = 'tester'");
  expect(await found()).toMatchObject([
    { what: "key-names-clash", say: expect.stringContaining('"tester"') },
  ]);
});

test("a copy that is missing or behind is said, and a missing one without any key is not", async () => {
  expect(await found()).toEqual([]);
  await doctor.create("app");
  const old = await world.redis.dumpBuffer("{spillway}:keys");
  await doctor.revoke("app");
  await world.redis.restore("{spillway}:keys", 0, old, "REPLACE");
  expect(await found()).toMatchObject([{ what: "key-copy-behind", severity: "error" }]);
  await world.redis.del("{spillway}:keys");
  expect(await found()).toMatchObject([{ what: "key-copy-behind", severity: "warning" }]);
});

test("from 4,500 live keys on, it is said that 5,000 may be", async () => {
  const insert = (from: number, to: number) =>
    world.sql.query(
      `insert into api_keys (sha256, name, kind, origins, version)
       select encode(sha256(n::text::bytea), 'hex'), 'bulk-' || n, 'secret', '{}', n from generate_series($1::int, $2) n`,
      [from, to],
    );
  await insert(1, 4499);
  await world.keyCommands.renewKeyCopy();
  expect(await found()).toEqual([]);
  await insert(4500, 4500);
  await world.keyCommands.renewKeyCopy();
  expect(await found()).toMatchObject([{ what: "keys-nearly-full" }]);
});

test("a table that differs, dead and held letters, and a partition that is stuck", async () => {
  await world.sql.query("alter table checked rename to elsewhere");
  try {
    await world.buffer.push({ stream: "checked", index: 3 }, [envelopeOf({ n: 1 }).envelope]);
    await doctor.call("POST", "/drain");
    const findings = await found();
    expect(findings.map(({ what, severity }) => [what, severity])).toEqual([
      ["table-differs", "error"],
      ["partition-stuck", "error"],
    ]);
    expect(findings[0]?.say).toContain("table checked is missing");
  } finally {
    await world.sql.query("alter table elsewhere rename to checked");
    await world.redis.flushdb();
  }
  await world.sql.query(
    `insert into dead_letters (stream, id, envelope, reason, burials, retry_at) values
     ('leads', gen_random_uuid(), '{}', 'dead', 1, null), ('leads', gen_random_uuid(), '{}', 'waits for a table', 1, now())`,
  );
  const later = await found();
  expect(later.map(({ what }) => what)).toEqual(expect.arrayContaining(["letters-dead", "letters-held"]));
  expect(later.find(({ what }) => what === "letters-held")?.say).toContain("waits for a table");
});

test("events of a newer release are said", async () => {
  const { envelope } = envelopeOf({ n: 1 });
  await world.buffer.push({ stream: "checked", index: 0 }, [envelope.replace('"v":1', '"v":9')]);
  expect(await found()).toMatchObject([
    { what: "version-unreadable", say: expect.stringContaining("version 9") },
  ]);
});

test("a server that is away is a finding, and the rest is said all the same", async () => {
  await doctor.create("app", { expires: "10d" });
  world.upstash.setFault(() => ({ kind: "refuse" }));
  expect((await found()).map(({ what }) => what)).toEqual(["redis-away", "key-expiring"]);
  world.upstash.setFault(undefined);
  world.neon.setFault(() => ({ kind: "refuse" }));
  expect((await found()).map(({ what }) => what)).toEqual(["postgres-away"]);
});
