/**
 * What every stream promises, as tests of one stream. The events are its examples, declared or derived from its schema.
 * A stream that lacks examples has one test, which fails and says what to declare.
 */
import { getTableColumns } from "drizzle-orm";
import { beforeEach, expect, test } from "vitest";
import { z } from "zod";
import { type Example, errorsOfExample, exampleOf, whyNoExample } from "../lib/schema/example.ts";
import type { Stream } from "../lib/schema/stream.ts";
import { quotedNameOf } from "../lib/store/stream-table.ts";
import type { Answer, Servers } from "./contract-servers.ts";
import { addUnknownKeys, fieldsThatMustBeThere, minimalOf, UNKNOWN } from "./event-changes.ts";
import { expectedRow, fieldsOfEvent, ownColumns, storedRows } from "./expected-rows.ts";

/** Derived examples of one stream: each value at both of its bounds, each option several times. */
const EXAMPLES = 18;

/** Declares the tests of one stream. The servers are there only once the tests run. */
export function testStream(stream: Stream, servers: () => Servers): void {
  const why = whyNoExample(stream);
  if (why !== undefined) {
    test("it has examples", () => expect.fail(why));
    return;
  }
  const examples = Array.from({ length: EXAMPLES + stream.examples.length }, (_, i) =>
    exampleOf(stream, i),
  ).filter((one) => one !== undefined);
  beforeEach(() => servers().sql.query(`truncate ${quotedNameOf(stream)}`));
  testDeclaredExamples(stream);
  testTable(stream, examples, servers);
  testArrival(stream, examples, servers);
  testUnknownKeys(stream, examples, servers);
  testMissingFields(stream, examples, servers);
}

function testDeclaredExamples(stream: Stream): void {
  test.each(stream.examples.map((example, index) => [index, example] as const))(
    "it accepts its declared example %i",
    (_, example) => expect(errorsOfExample(stream, example)).toEqual([]),
  );
}

const snakeCase = (field: string) => field.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

function testTable(stream: Stream, examples: Example[], servers: () => Servers): void {
  test("Postgres's table has its columns, and a unique index on exactly its key", async () => {
    const { sql } = servers();
    const columns = Object.entries(getTableColumns(stream.table));
    const { rows } = await sql.query(
      "select attname as name from pg_attribute where attrelid = $1::regclass and attnum > 0 and not attisdropped",
      [quotedNameOf(stream)],
    );
    const names = columns.map(([, { name }]) => name);
    expect(rows.map(({ name }) => name)).toEqual(expect.arrayContaining(names));
    if (!stream.existing) expect(rows).toHaveLength(names.length);
    const keys = await sql.query(
      `select array(select attname::text from pg_attribute where attrelid = indrelid and attnum = any (indkey) order by 1) as key
       from pg_index where indrelid = $1::regclass and indisunique and indisvalid and indpred is null`,
      [quotedNameOf(stream)],
    );
    const key = columns.filter(([field]) => stream.key.fields.includes(field)).map(([, { name }]) => name);
    expect(keys.rows).toContainEqual({ key: key.sort() });
  });

  const columns = ownColumns(stream);
  const filled = new Set(examples.flatMap((example) => Object.keys(fieldsOfEvent(stream, example))));
  if (stream.schema instanceof z.ZodObject && stream.toRow === undefined)
    for (const field of Object.keys(stream.schema.shape)) filled.add(field);

  test("every field has a column: none is lost", () => {
    const known = columns.map(([field]) => field);
    expect([...filled].filter((field) => !known.includes(field))).toEqual([]);
  });

  if (stream.toRow || stream.existing) return; // they name and fill columns as they like
  test("its columns are its fields in snake_case; more of them only with a default", () => {
    const own = columns.filter(([field, { hasDefault }]) => filled.has(field) || !hasDefault);
    expect(own.map(([, { name }]) => name).sort()).toEqual([...filled].map(snakeCase).sort());
  });
}

/** The event without the fields that may be left out: each of them is null. */
const nullInAbsent = (example: Example, minimal: Example): Example => ({
  ...Object.fromEntries(Object.keys(example).map((field) => [field, null])),
  ...minimal,
});

function testArrival(stream: Stream, examples: Example[], servers: () => Servers): void {
  const pairs = examples.map((example) => [example, minimalOf(stream, example)] as const);
  const all = new Map(
    pairs.flatMap(([example, minimal]) => [
      [JSON.stringify(example), { sent: example, like: example }],
      [JSON.stringify(minimal), { sent: minimal, like: minimal }],
      [JSON.stringify([example, null]), { sent: nullInAbsent(example, minimal), like: minimal }],
    ]),
  );
  const times = ["receivedAt", "storedAt"].flatMap(
    (field) => getTableColumns(stream.table)[field]?.name ?? [],
  );

  test.each(["buffered", "stored"])("an event sent for ack=%s arrives with every value", async (ack) => {
    const { sql, post, drain } = servers();
    const before = Date.now();
    // One by one: two examples may have one key.
    for (const { sent, like } of all.values()) {
      await sql.query(`truncate ${quotedNameOf(stream)}`);
      const { body } = await post(stream.name, sent, `?ack=${ack}`);
      const level = stream.ack === "stored" ? "stored" : ack;
      expect(body).toEqual({ accepted: 1, ids: [expect.any(String)], ack: level });
      await drain(stream.name);
      const letters = await sql.query("select reason, envelope from dead_letters where stream = $1", [
        stream.name,
      ]);
      expect(letters.rows).toEqual([]); // its schema accepts what its table refuses
      expect(await storedRows({ sql }, stream)).toEqual([await expectedRow({ sql }, stream, like)]);
      const { rows } = await sql.query(`select ${times.join(", ") || "1"} from ${quotedNameOf(stream)}`);
      for (const time of times) expect(rows[0][time].getTime()).toBeGreaterThanOrEqual(before - 1000); // Postgres's clock
      await expectNothingElsewhere(servers(), stream);
    }
  });
}

/** Nothing was accepted. */
async function expectNothingKept(on: Servers, stream: Stream): Promise<void> {
  await expectNothingElsewhere(on, stream);
  expect(await storedRows(on, stream)).toEqual([]);
  const { rows } = await on.sql.query("select id from dead_letters where stream = $1", [stream.name]);
  expect(rows).toEqual([]);
}

/** Nothing is still buffered: what was accepted is in the table. */
async function expectNothingElsewhere({ redis }: Servers, stream: Stream): Promise<void> {
  const lists = await redis.keys(`{spillway}:${stream.name}:*`);
  expect(lists.filter((key) => /:(pending|sealed|claimed):/.test(key))).toEqual([]);
}

const statusAndPaths = ({ status, body }: Answer) => [
  status,
  body.errors?.map(({ path }: { path: string }) => path),
];

function testUnknownKeys(stream: Stream, examples: Example[], servers: () => Servers): void {
  test("an unknown key is refused with its name, and nothing is kept", async () => {
    const on = servers();
    const event = { ...examples[0], [UNKNOWN]: 1 };
    const parsed = stream.parse(event);
    if (parsed.success) {
      // A record, a loose object or a catchall takes any key on purpose, and toRow has it.
      const isKept = stream.toRow !== undefined && UNKNOWN in (parsed.data as object);
      if (isKept) return;
      expect.fail(
        `stream "${stream.name}" drops unknown keys, and nobody hears of it: use z.strictObject in its schema instead of z.object`,
      );
    }
    const isUnion = parsed.error.issues.some(({ code }) => code === "invalid_union"); // zod names no key then
    expect(statusAndPaths(await on.post(stream.name, event))).toEqual([422, [isUnion ? "" : UNKNOWN]]);
    await expectNothingKept(on, stream);
  });

  const nested = addUnknownKeys(stream, examples);
  test.each(nested)("an unknown key is refused as $path, and nothing is kept", async ({ path, event }) => {
    const on = servers();
    expect(statusAndPaths(await on.post(stream.name, event))).toEqual([422, [path]]);
    await expectNothingKept(on, stream);
  });
}

function testMissingFields(stream: Stream, examples: Example[], servers: () => Servers): void {
  const missing = fieldsThatMustBeThere(stream, examples);
  test.each(missing)("without $field it is refused with that path, and nothing is kept", async (one) => {
    const on = servers();
    const [status, paths] = statusAndPaths(await on.post(stream.name, one.rest));
    expect(status).toBe(422);
    if (one.isNamed) expect(paths).toEqual([one.field]);
    else expect(paths).not.toEqual([]); // a union or a refinement names another path
    await expectNothingKept(on, stream);
  });
}
