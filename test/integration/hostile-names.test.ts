/** Names that every JavaScript object has: wherever a client may choose a name, they are names like any other. */
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { type Ingest, serveIngest } from "./test-ingest.ts";
import { expectConserved, KEY, openWorld, type World } from "./test-stack.ts";

let world: World;
let ingest: Ingest;
beforeAll(async () => {
  world = await openWorld();
  ingest = await serveIngest(world);
});
beforeEach(() => world.reset());
afterAll(async () => {
  await ingest.close();
  await world.close();
});

const NAMES = [
  "constructor",
  "__proto__",
  "prototype",
  "toString",
  "valueOf",
  "hasOwnProperty",
  "isPrototypeOf",
  "__defineGetter__",
  "__lookupSetter__",
  "toLocaleString",
  "propertyIsEnumerable",
];
const EVENT = { type: "test", payload: { a: 1 } };
const CE = { specversion: "1.0", id: "1", source: "s", type: "t" };
const ceHeaders = Object.fromEntries(Object.entries(CE).map(([name, value]) => [`ce-${name}`, value]));

test.each(NAMES)("%s as a media type is 415", async (name) => {
  for (const type of [name, `${name}; charset=utf-8`, `application/${name}`])
    expect((await ingest.postRaw("events", type, "{}")).status).toBe(415);
});

test.each(NAMES)(
  "%s as encoding, charset, ack, stream, method and query is refused, and is no 5xx",
  async (name) => {
    const status = async (path: string, headers: Record<string, string>, query = "") =>
      (await ingest.post(path, EVENT, { headers, query })).status;
    expect(await status("events", { "content-encoding": name })).toBe(415);
    expect(await status("events", { "content-type": `application/json; charset=${name}` })).toBe(415);
    expect(await status("events", {}, `?ack=${name}`)).toBe(400);
    expect(await status(name, {})).toBe(404);
    expect((await ingest.where(name, "1")).status).toBe(404);
    expect((await ingest.where("events", name)).status).toBe(404);
    expect((await ingest.send(`/${name}`)).status).toBe(404);
    expect(
      (await ingest.send("/v1/events", { method: "POST", headers: { authorization: `Bearer ${name}` } }))
        .status,
    ).toBe(401);
  },
);

test.each(NAMES)("%s as id, Idempotency-Key, header and query parameter is stored", async (name) => {
  const answers = [
    await ingest.post("events", { ...EVENT, id: name }),
    await ingest.post("events", EVENT, { headers: { "idempotency-key": name } }),
    await ingest.post("events", EVENT, { headers: { [name]: "x" } }),
    await ingest.post("events", EVENT, { query: `?${name}=x` }),
    await ingest.postRaw("events", "application/json", `{"type":"test","payload":{"a":"${name}"}}`),
    await ingest.postRaw("events", "application/json", "{}", {
      headers: { ...ceHeaders, [`ce-${name}`]: "x" },
    }),
  ];
  expect(answers.map(({ status }) => status)).toEqual([202, 202, 202, 202, 202, 202]);
  await expectConserved(
    world,
    "events",
    answers.flatMap(({ body }) => body.ids),
  );
});

test.each(NAMES)(
  "%s as a field of an event is refused by its path, and in free JSON is data",
  async (name) => {
    const field = await ingest.postRaw(
      "events",
      "application/json",
      `{"type":"test","payload":{},"${name}":1}`,
    );
    expect([field.status, field.body.errors[0].path]).toEqual([422, name]);
    const free = await ingest.postRaw(
      "events",
      "application/json",
      `{"type":"test","payload":{"${name}":1}}`,
    );
    expect(free.status).toBe(name === "__proto__" ? 422 : 202);
    await expectConserved(world, "events", free.body.ids ?? []);
  },
);

test.each(NAMES)("a key that is called %s has a rate of its own", async (name) => {
  const limited = await serveIngest(world, {
    keyEventsPerSecond: 1,
    now: () => 0,
    apiKeys: world.config.apiKeys.map((key) => ({ ...key, name })),
  });
  const statuses: number[] = [];
  for (let i = 0; i < 3; i++)
    statuses.push((await limited.post("events", { ...EVENT, id: String(i) }, { key: KEY })).status);
  expect(statuses).toEqual([202, 202, 429]);
  await limited.close();
});
