/**
 * What every stream promises, over every file of lib/streams/, as an installation tests its own: a new stream is tested without writing a
 * test. And over streams of the test's own, with the schemas and columns that a stream may have tomorrow.
 */
import { afterAll, beforeAll, beforeEach, describe } from "vitest";
import { drain } from "../../lib/drain/drain.ts";
import { registryOf } from "../../lib/schema/registry.ts";
import { testStreams } from "../../testing/index.ts";
import { testStream } from "../../testing/stream-contract.ts";
import { CREATE_ODD_TABLES, DROP_ODD_TABLES, oddStreams } from "./odd-streams.ts";
import { type Ingest, serveIngest } from "./test-ingest.ts";
import { openWorld, type World } from "./test-stack.ts";

testStreams(new URL("../../lib/streams/", import.meta.url));

describe("streams of any kind", () => {
  const streams = registryOf(oddStreams);
  let world: World;
  let ingest: Ingest;
  beforeAll(async () => {
    world = await openWorld();
    await world.sql.query(CREATE_ODD_TABLES);
    ingest = await serveIngest({ ...world, streams });
  });
  beforeEach(() => world.reset());
  afterAll(async () => {
    await ingest.close();
    await world.sql.query(DROP_ODD_TABLES);
    await world.close();
  });
  const servers = () => ({
    ...{ sql: world.sql, redis: world.redis },
    post: (stream: string, event: unknown, query = "") => ingest.post(stream, event, { query }),
    drain: (stream: string) => drain(world.supervisor({ streams }), { stream }),
  });

  describe.each([...streams.values()])("the stream $name", (stream) => {
    testStream(stream, servers);
  });
});
