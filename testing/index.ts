/** `spillway/testing`: the contract tests of an installation's streams, for a test file of Vitest. */
import { extname } from "node:path";
import { fileURLToPath } from "node:url";
import { getTableConfig } from "drizzle-orm/pg-core";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { installationAt } from "../lib/installation.ts";
import { loadStreams, type Registry } from "../lib/schema/registry.ts";
import { type OpenServers, openServers } from "./contract-servers.ts";
import { testStream } from "./stream-contract.ts";

/** How long a test may take, in milliseconds, and starting the servers. */
const TIMEOUT_MS = 120_000;

/**
 * Declares the tests of every stream of the folder: its examples, declared or derived from its schema, go their whole way through ingest,
 * Redis and Postgres, and what its schema does not allow is refused by name. It starts a Redis and a Postgres of its own on this machine, with
 * the installation's migrations, and stops them. Call it at the top of a test file.
 *
 * @example
 * testStreams(new URL("../streams/", import.meta.url));
 */
export function testStreams(folder: URL): void {
  describe("the streams", { timeout: TIMEOUT_MS }, async () => {
    await readTypeScript();
    testRegistry(folder, await loadStreams(folder));
  });
}

/** In the package, Node itself loads the streams, and it may be too old to read TypeScript. In a checkout, Vitest does. */
async function readTypeScript(): Promise<void> {
  if (extname(import.meta.url) === ".ts") return;
  const { register } = await import("tsx/esm/api");
  register();
}

function testRegistry(folder: URL, streams: Registry): void {
  const all = [...streams.values()];
  let servers: OpenServers;
  beforeAll(async () => {
    servers = await openServers(streams, installationAt(fileURLToPath(folder)));
  }, TIMEOUT_MS);
  beforeEach(() => servers.reset());
  afterAll(() => servers?.close(), TIMEOUT_MS);

  describe.each(all.filter(({ retired }) => !retired))("the stream $name", (stream) => {
    testStream(stream, () => servers);
  });

  test.each(all.filter(({ retired }) => retired).map(({ name }) => name))(
    "the retired stream %s takes no more events",
    async (name) => {
      expect((await servers.post(name, {})).status).toBe(404);
    },
  );

  test("no two streams share a table", () => {
    const own = all.filter(({ existing }) => !existing).map(({ table }) => getTableConfig(table));
    const names = own.map(({ schema = "public", name }) => `${schema}.${name}`);
    expect(new Set(names).size).toBe(names.length);
  });
}
