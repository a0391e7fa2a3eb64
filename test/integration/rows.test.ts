/** Rows whose data is the record as it is: the same in Postgres as rows made field by field, and no way to spoil others. */
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { drain } from "../../lib/drain/drain.ts";
import { decodeEnvelope, encodeEnvelope } from "../../lib/schema/envelope.ts";
import { newId } from "../../lib/schema/event-ids.ts";
import { rowOf, rowOfFields } from "../../lib/schema/json-row.ts";
import type { Stream } from "../../lib/schema/stream.ts";
import { envelopeOf, expectConserved, openWorld, type World, whereabouts } from "./test-stack.ts";

let world: World;
beforeAll(async () => {
  world = await openWorld();
});
beforeEach(() => world.reset());
afterAll(() => world.close());

const receivedAt = "2026-11-21T09:30:00.123Z";
const hostile = `ä "quoted" \\ '' 😀 {1,2} \t\n","id":"x`;

const streamOf = (name: string): Stream => {
  const stream = world.streams.get(name);
  if (stream === undefined) throw new Error(`expected a stream ${name}`);
  return stream;
};

/** A stored row as text, without the two columns that differ from row to row. */
async function read(name: string, id: string): Promise<unknown> {
  const { rows } = await world.sql.query(
    `select (to_jsonb(x) - 'id' - 'stored_at')::text as text from ${name} x where id = $1`,
    [id],
  );
  return rows[0]?.text;
}

test.each([
  ["events", { type: hostile, payload: { b: [1, { c: hostile }], a: 1e21, "": null } }],
  ["events", { type: "t", userId: hostile, payload: "text", occurredAt: "2026-11-21T09:30:00.123456+05:30" }],
  ["events", { type: "t", payload: 0 }],
  ["events", { type: "t", payload: false }],
  ["locations", { userId: "u", lat: -0.1, lng: 1e-300, recordedAt: "0001-01-01T00:00:00Z" }],
  ["locations", { userId: hostile, lat: 90, lng: 180, accuracy: 5e-324, speed: 0, recordedAt: receivedAt }],
  ["activities", { contactId: "", type: hostile, description: hostile }],
  ["leads", { name: hostile, source: "null" }],
])("%s %j", async (name, data) => {
  const stream = streamOf(name);
  expect(stream.toRow).toBeUndefined();
  const asItIs = rowOf(stream, { v: 1, id: newId(), receivedAt, dataJson: JSON.stringify(data) });
  if ("reason" in asItIs) throw new Error(asItIs.reason);
  const byField = rowOfFields(stream, { id: newId(), receivedAt }, data);
  expect(await world.store.insert(stream, [asItIs, byField])).toEqual({ count: 2 });
  expect(await read(name, asItIs.id)).toEqual(expect.any(String));
  expect(await read(name, asItIs.id)).toBe(await read(name, byField.id));
});

test("data with no fields is a row of defaults and nulls, or Postgres's refusal", async () => {
  const row = rowOf(streamOf("activities"), { v: 1, id: newId(), receivedAt, dataJson: "{}" });
  if ("reason" in row) throw new Error(row.reason);
  expect(JSON.parse(row.json)).toEqual({ id: row.id, receivedAt });
  await expect(world.store.insert(streamOf("activities"), [row])).rejects.toMatchObject({ code: "23502" });
});

test("data that somebody else pushed behind an envelope's head is buried, and its neighbours land", async () => {
  const good = { contactId: "c", type: "call", description: "d" };
  const P = { stream: "activities", index: 0 };
  const made = Array.from({ length: 9 }, () => envelopeOf(good));
  const spoilt = [`{"a":`, `{"a":"}`, `{"a":{}`, `[]`, `1`, `"}`, `{},{}`, `{}],"x":[{}`].map((dataJson) => {
    const id = newId();
    return { id, envelope: encodeEnvelope({ v: 1, id, receivedAt, dataJson }) };
  });
  const mixed = made.flatMap((one, i) => [one, ...spoilt.slice(i, i + 1)]);
  await world.buffer.push(
    P,
    mixed.map(({ envelope }) => envelope),
  );
  const report = await drain(world.supervisor(), { stream: "activities" });
  expect(report.streams).toMatchObject([{ stored: 9, dead: 8, outcome: "empty" }]);
  expect((await whereabouts(world, "activities")).dead.sort()).toEqual(spoilt.map(({ id }) => id).sort());
  await expectConserved(
    world,
    "activities",
    mixed.map(({ id }) => id),
  );
});

test("data that brings an id of its own gets the envelope's", async () => {
  const { id, envelope } = envelopeOf({ contactId: "c", type: "t", description: "d" });
  const other = newId();
  const text = envelope.replace(`"data":{`, `"data":{"id":"${other}",`);
  expect(decodeEnvelope(text)?.id).toBe(id);
  await world.buffer.push({ stream: "activities", index: 0 }, [text]);
  await drain(world.supervisor(), { stream: "activities" });
  await expectConserved(world, "activities", [id]);
});
