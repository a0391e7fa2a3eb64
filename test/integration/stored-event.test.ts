/** `GET /streams/{stream}/events/{id}`: one stored event, only when it is asked for, from whatever table the stream has. */
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { createSupervisor } from "../../functions/supervisor.ts";
import { drain } from "../../lib/drain/drain.ts";
import { newId } from "../../lib/schema/event-ids.ts";
import { expectConserved, good, openWorld, pushEvents, type World } from "./test-stack.ts";

let world: World;
let served: { url: string; close: () => Promise<void> };
/** A supervisor whose callers may only drain. */
let drained: typeof served;
beforeAll(async () => {
  world = await openWorld();
  served = await world.serve(createSupervisor(world.supervisor()));
  drained = await world.serve(createSupervisor(world.supervisor({ mayOperate: () => false })));
});
beforeEach(() => world.reset());
afterAll(async () => {
  await served.close();
  await drained.close();
  await world.close();
});

async function store(stream: string, events: readonly object[]): Promise<string[]> {
  const ids = await pushEvents(world, { stream, index: 0 }, events);
  await drain(world.supervisor(), { stream });
  await expectConserved(world, stream, ids);
  return ids;
}

async function read(stream: string, id: string, { url } = served, method = "GET") {
  const response = await fetch(`${url}/streams/${stream}/events/${id}`, { method });
  // biome-ignore lint/suspicious/noExplicitAny: a test looks into whatever was answered
  return { status: response.status, body: (await response.json()) as any, headers: response.headers };
}

test("a stored event is answered with its data, by one query, and nothing of it is logged", async () => {
  const [id = ""] = await store("events", [{ type: "seen", payload: { secret: "s3cret" } }]);
  world.said.length = 0;
  let queries = 0;
  world.neon.setFault(() => {
    queries += 1;
    return undefined;
  });
  const { status, body, headers } = await read("events", id.toUpperCase());
  expect([status, queries, headers.get("cache-control")]).toEqual([200, 1, "no-store"]);
  expect(body).toMatchObject({ stream: "events", id });
  expect(JSON.parse(body.row)).toMatchObject({
    id,
    type: "seen",
    userId: null,
    payload: { secret: "s3cret" },
  });
  expect(body.bytes).toBe(Buffer.byteLength(body.row));
  expect(JSON.stringify(world.said)).not.toContain("s3cret");
});

test("of a table that is there already, in another schema and with other names, by the fields' names", async () => {
  const [id = ""] = await store("shipments", [{ orderNumber: "o 1", grams: 5, carrier: "c" }]);
  const { body } = await read("shipments", id);
  expect(JSON.parse(body.row)).toEqual({
    ...{ no: expect.any(Number), id, orderNumber: "o 1", grams: 5, carrier: "c", seen: false },
  });
});

test("numbers stay as Postgres has them", async () => {
  const [id = ""] = await store("checked", good(1));
  await world.sql.query("alter table checked alter n type numeric using 12345678901234567890.5");
  try {
    expect((await read("checked", id)).body.row).toContain('"n":12345678901234567890.5');
  } finally {
    await world.sql.query("alter table checked alter n type integer using 1");
  }
});

test("a row that is too long is not sent, and its length is", async () => {
  const [id = ""] = await store("checked", good(1));
  await world.sql.query("update checked set note = repeat('x', 2000000)");
  const { status, body } = await read("checked", id);
  expect([status, body.row]).toEqual([200, null]);
  expect(body.bytes).toBeGreaterThan(2_000_000);
});

test.each([
  ["events", newId(), 404, "unknown-row", "GET"],
  ["events", "1", 404, "unknown-row", "GET"],
  ["events", "%27%3B--", 404, "unknown-row", "GET"],
  ["events", "", 404, "unknown-row", "GET"],
  ["positions", newId(), 404, "unknown-row", "GET"], // only the newest of each user is kept, by no id
  ["nothing", newId(), 404, "unknown-stream", "GET"],
  ["events", newId(), 405, "method-not-allowed", "POST"],
] as const)("%s/%s is answered %i %s", async (stream, id, status, code, method) => {
  expect(await read(stream, id, served, method)).toMatchObject({ status, body: { code } });
});

test("who may only drain reads nothing", async () => {
  const [id = ""] = await store("checked", good(1));
  expect(await read("checked", id, drained)).toMatchObject({
    status: 403,
    body: { code: "caller-not-allowed" },
  });
});

test("a table that is not as declared is told so, and Postgres that is away, too", async () => {
  const [id = ""] = await store("checked", good(1));
  await world.sql.query("alter table checked rename note to remark");
  try {
    expect(await read("checked", id)).toMatchObject({ status: 503, body: { code: "database-refuses" } });
  } finally {
    await world.sql.query("alter table checked rename remark to note");
  }
  world.neon.setFault(() => ({ kind: "reset-before" }) as never);
  expect(await read("checked", id)).toMatchObject({ status: 503, body: { code: "database-away" } });
});
