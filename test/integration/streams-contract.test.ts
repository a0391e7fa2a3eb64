/**
 * What every stream promises, over every file of lib/streams/: a new stream is tested without writing a test. And over
 * streams of the test's own, with the schemas and columns that lib/streams/ may have tomorrow.
 */
import { getTableConfig } from "drizzle-orm/pg-core";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { registryOf } from "../../lib/schema/registry.ts";
import { loadOwnStreams } from "../own-installation.ts";
import { CREATE_ODD_TABLES, DROP_ODD_TABLES, oddStreams } from "./odd-streams.ts";
import { testStream } from "./stream-contract.ts";
import { type Ingest, serveIngest } from "./test-ingest.ts";
import { openWorldOfYours, type World } from "./test-stack.ts";

const streams = registryOf([...(await loadOwnStreams()).values(), ...oddStreams]);
const all = [...streams.values()];

let world: World;
let ingest: Ingest;
beforeAll(async () => {
  world = await openWorldOfYours();
  await world.sql.query(CREATE_ODD_TABLES);
  ingest = await serveIngest({ ...world, streams });
});
beforeEach(() => world.reset());
afterAll(async () => {
  await ingest.close();
  await world.sql.query(DROP_ODD_TABLES);
  await world.close();
});

describe.each(all.filter(({ retired }) => !retired))("the stream $name", (stream) => {
  testStream(stream, () => ({ world, ingest, streams }));
});

test.each(all.filter(({ retired }) => retired).map(({ name }) => name))(
  "the retired stream %s takes no more events",
  async (name) => {
    expect((await ingest.post(name, {})).status).toBe(404);
  },
);

test("no two streams share a table", () => {
  const tables = all.map(({ table }) => getTableConfig(table).name);
  expect(new Set(tables).size).toBe(tables.length);
});
