/**
 * A database of one test file, with the tables of test/streams/, and a role in it that may insert and select, and nothing else.
 * Spillway logs in as that role, so that policies, missing rights and limits are real. World's own SQL is the superuser's.
 */
import pg from "pg";
import { expect } from "vitest";
import { drain } from "../../lib/drain/drain.ts";
import { connect } from "../../lib/store/database.ts";
import { createStore } from "../../lib/store/store.ts";
import { migrateForTests } from "../streams/run/test-streams.ts";
import { type Ingest, serveIngest } from "./test-ingest.ts";
import {
  createDatabase,
  expectConserved,
  letPausesEnd,
  openWorld,
  pushEvents,
  type World,
  whereabouts,
} from "./test-stack.ts";

export const STORED = { query: "?ack=stored" };
const P = { stream: "checked", index: 0 };

export type RealDatabase = Awaited<ReturnType<typeof openRealDatabase>>;

/** Opens the world of a new database of this name; `close` it after the file's last test. `how`: SQL of CREATE DATABASE. */
export async function openRealDatabase(name: string, env: Record<string, string> = {}, how = "") {
  const databaseUrl = await createDatabase(name, how);
  await migrateForTests(databaseUrl);
  const world = await openWorld({ DATABASE_URL: databaseUrl, ...env });
  const role = `${name}_role`;
  await world.sql.query(`
    create role ${role} login password '${role}'; grant usage on schema public to ${role};
    grant select, insert on all tables in schema public to ${role}; grant all on dead_letters to ${role}`);
  let process = await startProcess(world, role);

  /** Begins anew: nothing stored, nothing buffered, and a new process. */
  async function reset(): Promise<void> {
    await world.reset();
    await restart();
  }

  /** A process that remembers nothing, and opens connections of its own. */
  async function restart(): Promise<void> {
    await process.ingest.close();
    process = await startProcess(world, role);
  }

  /** Pushes events into partition 0, or another one, and returns their ids. */
  const push = (events: readonly object[], index = 0) => pushEvents(world, { ...P, index }, events);

  const tick = async () => (await drain(process.supervisor, { stream: "checked" })).streams[0];

  async function tickAfterPause() {
    await letPausesEnd(world);
    return tick();
  }

  /** Runs SQL as the superuser; afterwards other SQL that mends what it did, also if the test failed meanwhile. */
  async function during(spoil: string, mend: string, work: () => Promise<void>): Promise<void> {
    await world.sql.query(spoil);
    try {
      await work();
    } finally {
      await world.sql.query(mend);
    }
  }

  async function expectAllStored(ids: readonly string[]): Promise<void> {
    expect((await whereabouts(world, "checked")).stored.sort()).toEqual([...ids].sort());
    expect((await world.sql.query("select reason from dead_letters")).rows).toEqual([]);
    await expectConserved(world, "checked", ids);
  }

  async function close(): Promise<void> {
    await process.ingest.close();
    await world.close();
  }

  return {
    ...{ world, role, reset, restart, push, tick, tickAfterPause, during, expectAllStored, close },
    get ingest(): Ingest {
      return process.ingest;
    },
    get supervisor() {
      return process.supervisor;
    },
  };
}

let processes = 0;

/** What one supervisor and one ingest keep in memory. `application_name` gives them connections of their own. */
async function startProcess(world: World, role: string) {
  const url = new URL(world.config.databaseUrl);
  url.username = url.password = role;
  processes += 1;
  url.searchParams.set("application_name", `process ${processes}`);
  const { insertTimeoutMs, neonHttpUrl } = world.config;
  const storeOf = () => createStore(connect(url.href, insertTimeoutMs, neonHttpUrl), insertTimeoutMs);
  return {
    supervisor: world.supervisor({ store: storeOf() }),
    ingest: await serveIngest(world, { store: storeOf() }),
  };
}

/** A connection of a test's own, which `work` may leave in a transaction. */
export async function withClient<T>(
  { config }: Pick<World, "config">,
  work: (client: pg.Client) => Promise<T>,
): Promise<T> {
  const client = new pg.Client({ connectionString: config.databaseUrl });
  client.on("error", () => {});
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end().catch(() => {});
  }
}
