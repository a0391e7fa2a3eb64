/** The tables are compared with their declarations when a process starts, and when senders are refused: what differs is said. */
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { createSupervisor } from "../../functions/supervisor.ts";
import { connect } from "../../lib/store/database.ts";
import { createTableCheck } from "../../lib/store/table-check.ts";
import { migrateForTests } from "../streams/run/test-streams.ts";
import { serveIngest } from "./test-ingest.ts";
import { createDatabase, envelopeOf, expectConserved, openWorld, type World } from "./test-stack.ts";

let world: World;
beforeAll(async () => {
  const databaseUrl = await createDatabase("start_check");
  await migrateForTests(databaseUrl);
  world = await openWorld({ DATABASE_URL: databaseUrl });
});
beforeEach(() => world.reset());
afterAll(() => world.close());

/** A supervisor that has just started. */
async function start() {
  const { url, close } = await world.serve(createSupervisor(world.supervisor()));
  const tick = async () => (await fetch(`${url}/drain`, { method: "POST" })).status;
  const status = async (stream: string) => {
    const { streams } = (await (await fetch(`${url}/status`)).json()) as { streams: { stream: string }[] };
    return streams.find((one) => one.stream === stream);
  };
  return { tick, status, close };
}

const told = () => world.said.filter(({ event }) => event === "table.differs").map(({ fields }) => fields);
const LACKS_N = {
  stream: "checked",
  differences: [
    "table checked lacks column n",
    "column m of table checked is NOT NULL without a default, and the stream does not declare it",
  ],
};
const LOCKED_OTHER = {
  stream: "leads",
  differences: ["column name of table leads is character varying, and the stream declares text"],
};

async function whileRenamed(work: () => Promise<void>): Promise<void> {
  await world.sql.query("alter table checked rename n to m");
  try {
    await work();
  } finally {
    await world.sql.query("alter table checked rename m to n");
  }
}

/** Counts the requests that reach Postgres. */
function countRequests() {
  const counted = { n: 0 };
  world.neon.setFault(() => {
    counted.n += 1;
    return undefined;
  });
  return counted;
}

test("the first drain says how tables differ, with one question, whichever it drains; the next ones ask nothing", async () => {
  const { id, envelope } = envelopeOf({ n: 1 });
  const { tick, status, close } = await start();
  await whileRenamed(async () => {
    const locker = await world.sql.connect();
    await world.sql.query("alter table leads alter name type varchar");
    await locker.query("begin; lock table leads in access exclusive mode");
    const counted = countRequests();
    expect(await tick()).toBe(200); // nothing is buffered
    expect([told(), counted.n]).toEqual([[LACKS_N, LOCKED_OTHER], 1]);
    expect(await tick()).toBe(200);
    expect([told().length, counted.n]).toEqual([2, 1]);
    await locker.query("rollback");
    locker.release();
    await world.sql.query("alter table leads alter name type text");
    expect(await status("checked")).toMatchObject({ tableDifferences: LACKS_N.differences });
    expect(await status("events")).toMatchObject({ tableDifferences: [] });
  });
  await world.buffer.push({ stream: "checked", index: 0 }, [envelope]);
  expect(await tick()).toBe(200);
  await close();
  await expectConserved(world, "checked", [id]);
});

test("without an answer the drain goes on, and a later one says it", async () => {
  const { id, envelope } = envelopeOf({ type: "t", payload: 1 });
  await world.buffer.push({ stream: "events", index: 0 }, [envelope]);
  let nowMs = 0;
  const { databaseUrl, neonHttpUrl } = world.config;
  const tables = createTableCheck(connect(databaseUrl, 500, neonHttpUrl), 500, () => nowMs);
  const { url, close } = await world.serve(createSupervisor(world.supervisor({ tables })));
  const tick = async () => (await fetch(`${url}/drain`, { method: "POST" })).status;
  await whileRenamed(async () => {
    for (const kind of ["hang", "refuse"] as const) {
      world.neon.setFault(({ queries }) =>
        queries.some(({ query }) => query.includes("has_any_column_privilege")) ? { kind } : undefined,
      );
      expect(await tick()).toBe(200);
      expect(told()).toEqual([]);
      nowMs += 60_000;
    }
    const { status } = await fetch(`${url}/status`);
    expect(status).toBe(200);
    nowMs += 60_000;
    world.neon.setFault(undefined);
    expect(await tick()).toBe(200);
    expect(told()).toEqual([LACKS_N]);
  });
  await close();
  await expectConserved(world, "events", [id]);
});

test("ingest says why it refuses those who wait, with the difference, once a minute", async () => {
  let nowMs = Date.now();
  const ingest = await serveIngest(world, { now: () => nowMs });
  const post = () => ingest.post("checked", { n: 1 }, { query: "?ack=stored" });
  const said = () =>
    world.said.filter(({ event }) => event === "store.misconfigured").map(({ fields }) => fields);
  const reason = "undefined column (SQLSTATE 42703): table checked; table checked lacks column n";
  await whileRenamed(async () => {
    for (let i = 0; i < 3; i++) expect((await post()).status).toBe(503);
    expect(said()).toEqual([{ stream: "checked", sqlstate: "42703", reason }]);
    nowMs += 60_000;
    expect((await post()).status).toBe(503);
    expect(said()).toHaveLength(2);
  });
  const stored = await post();
  expect(stored.status).toBe(201);
  await ingest.close();
  await expectConserved(world, "checked", stored.body.ids);
});
