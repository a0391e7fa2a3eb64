/**
 * The table check on a real Postgres: it finds no difference where there is none, names each kind that there can be, and is
 * never a second failure.
 */
import {
  bigint,
  bit,
  boolean,
  char,
  cidr,
  customType,
  interval,
  line,
  macaddr,
  macaddr8,
  numeric,
  pgSchema,
  pgTable,
  point,
  smallint,
  text,
  time,
  timestamp,
  varchar,
} from "drizzle-orm/pg-core";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { z } from "zod";
import { drain } from "../../lib/drain/drain.ts";
import { defineStream, eventColumns, type Stream } from "../../lib/schema/stream.ts";
import { connect } from "../../lib/store/database.ts";
import { createTableCheck } from "../../lib/store/table-check.ts";
import checked from "../streams/checked.ts";
import everyType from "../streams/every_type.ts";
import { migrateForTests } from "../streams/run/test-streams.ts";
import { CREATE_ODD_TABLES, oddStreams } from "./odd-streams.ts";
import {
  createDatabase,
  envelopeOf,
  expectConserved,
  isInsert,
  openWorld,
  type World,
} from "./test-stack.ts";

let world: World;
beforeAll(async () => {
  const databaseUrl = await createDatabase("table_check");
  await migrateForTests(databaseUrl);
  world = await openWorld({ DATABASE_URL: databaseUrl });
  await world.sql.query(CREATE_ODD_TABLES);
});
beforeEach(() => world.reset());
afterAll(() => world.close());

/** A check that remembers nothing yet. */
function newCheck(now = () => 0) {
  const { databaseUrl, neonHttpUrl } = world.config;
  return createTableCheck(connect(databaseUrl, 5000, neonHttpUrl), 5000, now);
}
const differencesOf = (stream: Stream) => newCheck().differencesOf(stream);

/** Changes the database, works, changes it back, and shows that nothing of the change is left. */
async function during<T>(change: string, undo: string, work: () => Promise<T>): Promise<T> {
  await world.sql.query(change);
  try {
    return await work();
  } finally {
    await world.sql.query(undo);
    for (const stream of [checked, everyType]) expect(await differencesOf(stream)).toEqual([]);
  }
}

describe("a table that its migration made has no difference", () => {
  test("whatever stream of the tests declares it", async () => {
    const all = [...world.streams.values(), ...oddStreams];
    const found = await Promise.all(all.map(async (stream) => [stream.name, await differencesOf(stream)]));
    expect(found).toEqual(all.map(({ name }) => [name, []]));
  });

  test("whatever type Drizzle Kit writes for a column", async () => {
    const of = customType<{ data: string; config: { type: string } }>({
      dataType: (config) => config?.type ?? "text",
    });
    const table = pgTable("typed", {
      ...eventColumns(),
      char: char("char"),
      char3: char("char3", { length: 3 }),
      varchar: varchar("varchar"),
      bit: bit("bit", { dimensions: 5 }),
      bool: boolean("bool"),
      numeric: numeric("numeric", { precision: 10 }),
      scaled: numeric("scaled", { precision: 10, scale: 3 }).array(),
      time: time("time", { precision: 3, withTimezone: true }),
      moment: timestamp("moment", { precision: 0 }),
      moments: timestamp("moments", { precision: 6, withTimezone: true }).array(),
      fields: interval("fields", { fields: "day to second", precision: 3 }),
      precise: interval("precise", { precision: 2 }),
      sized: text("sized").array(3),
      grid: smallint("grid").array().array(),
      ...{ cidr: cidr("cidr"), mac: macaddr("mac"), mac8: macaddr8("mac8") },
      ...{ point: point("point"), line: line("line") },
      ...{
        int8: of("int8", { type: "int8" }),
        int: of("int", { type: "int4" }),
        bytes: of("bytes", { type: "bytea" }),
      },
      ...{ float: of("float", { type: "float8" }), tz: of("tz", { type: "timestamptz(2)" }) },
      ...{ decimal: of("decimal", { type: "decimal(8,2)" }), short: of("short", { type: "int2[]" }) },
      name: of("name", { type: "name" }),
    });
    const typed = defineStream({ name: "typed", table, schema: z.strictObject({}), toRow: () => ({}) });
    const { generateDrizzleJson, generateMigration } = await import("drizzle-kit/api");
    const create = await generateMigration(generateDrizzleJson({}), generateDrizzleJson({ table }));
    const found = await during(create.join(";"), "drop table typed", () => differencesOf(typed));
    expect(found).toEqual([]);
  });
});

const alter = (table: string, ...parts: string[]) => `alter table ${table} ${parts.join(", ")}`;
const notDeclared = (column: string) =>
  `column ${column} of table checked is NOT NULL without a default, and the stream does not declare it`;
const isNamed = (column: string) =>
  `column ${column} of table checked is GENERATED ALWAYS, and the insert names it`;
const NO_INDEX = "table checked has no unique index on exactly its column id";
const PRIMARY = "add constraint checked_pkey primary key (id)";

describe("a difference is named", () => {
  test.each([
    [
      "a missing table",
      "alter table checked rename to gone",
      "alter table gone rename to checked",
      ["table checked is missing"],
    ],
    [
      "a missing column",
      alter("checked", "rename note to memo"),
      alter("checked", "rename memo to note"),
      ["table checked lacks column note"],
    ],
    [
      "a column under another name: missing first, then the one that nobody fills",
      alter("checked", "rename n to m"),
      alter("checked", "rename m to n"),
      ["table checked lacks column n", notDeclared("m")],
    ],
    [
      "a column that the stream does not declare, and that wants a value",
      alter("checked", "add extra integer not null"),
      alter("checked", "drop extra"),
      [notDeclared("extra")],
    ],
    [
      "another type",
      alter("checked", "alter n type bigint"),
      alter("checked", "alter n type integer"),
      ["column n of table checked is bigint, and the stream declares integer"],
    ],
    [
      "a type of the user's own in place of text",
      alter("checked", "alter note type odd_state using null"),
      alter("checked", "alter note type text"),
      ["column note of table checked is odd_state, and the stream declares text"],
    ],
    [
      "another length, another precision, no array",
      alter(
        "every_type",
        "alter a_varchar type varchar(5)",
        "alter a_moment type timestamptz(3)",
        "alter a_list type text using null",
      ),
      alter(
        "every_type",
        "alter a_varchar type varchar(10)",
        "alter a_moment type timestamptz",
        "alter a_list type text[] using null",
      ),
      [
        "column a_varchar of table every_type is character varying(5), and the stream declares varchar(10)",
        "column a_moment of table every_type is timestamp(3) with time zone, and the stream declares timestamp with time zone",
        "column a_list of table every_type is text, and the stream declares text[]",
      ],
    ],
    [
      "a column that a row may lack, and the table may not, whatever its default",
      alter("checked", "alter note set not null", "alter note set default ''"),
      alter("checked", "alter note drop not null", "alter note drop default"),
      ["column note of table checked is NOT NULL, and a row may lack it"],
    ],
    [
      "a generated column that the insert names",
      alter("checked", "drop note", "add note text generated always as ('x') stored"),
      alter("checked", "drop note", "add note text"),
      [isNamed("note")],
    ],
    [
      "an identity that the insert names",
      alter("checked", "alter n add generated always as identity"),
      alter("checked", "alter n drop identity"),
      [isNamed("n")],
    ],
    [
      "no primary key",
      alter("checked", "drop constraint checked_pkey"),
      alter("checked", PRIMARY),
      [NO_INDEX],
    ],
    ...[
      ["partial", "create unique index aside on checked (id) where n > 5"],
      ["on an expression", "create unique index aside on checked ((id::text))"],
      ["on another column, too", "create unique index aside on checked (id, n)"],
      ["on another column alone", "create unique index aside on checked (n)"],
      ["not unique", "create index aside on checked (id)"],
    ].map(([what, index]): [string, string, string, string[]] => [
      `an index that is ${what} in place of the primary key`,
      `${alter("checked", "drop constraint checked_pkey")}; ${index}`,
      `drop index aside; ${alter("checked", PRIMARY)}`,
      [NO_INDEX],
    ]),
    [
      "a primary key that is checked only at the end",
      alter("checked", "drop constraint checked_pkey", `${PRIMARY} deferrable`),
      alter("checked", "drop constraint checked_pkey", PRIMARY),
      [NO_INDEX],
    ],
    [
      "several at once, those that refuse every row first",
      alter(
        "checked",
        "drop constraint checked_pkey",
        "alter note set not null",
        "add extra integer not null",
        "alter n type bigint",
      ),
      alter("checked", PRIMARY, "alter note drop not null", "drop extra", "alter n type integer"),
      [
        NO_INDEX,
        notDeclared("extra"),
        "column n of table checked is bigint, and the stream declares integer",
        "column note of table checked is NOT NULL, and a row may lack it",
      ],
    ],
  ] as [string, string, string, string[]][])("%s", async (_, change, undo, expected) => {
    const found = await during(change, undo, async () => [
      ...(await differencesOf(checked)),
      ...(await differencesOf(everyType)),
    ]);
    expect(found).toEqual(expected);
  });
});

describe("what lets every row in is no difference", () => {
  test.each([
    [
      "columns that fill themselves, or stay empty",
      `create domain filled as integer default 1;
       ${alter("checked", "add a integer", "add b integer not null default 1", "add c integer not null generated always as identity", "add d integer not null generated always as (1) stored", "add e filled not null")}`,
      `${alter("checked", "drop a", "drop b", "drop c", "drop d", "drop e")}; drop domain filled`,
    ],
    [
      "a dropped column",
      "alter table checked add extra integer not null; alter table checked drop extra",
      "select 1",
    ],
    [
      "a domain, of which nobody knows what it refuses",
      "create domain counted as integer; alter table checked alter n type counted",
      "alter table checked alter n type integer; drop domain counted",
    ],
    [
      "a unique index in place of the primary key",
      `${alter("checked", "drop constraint checked_pkey")}; create unique index aside on checked (id) include (n)`,
      `drop index aside; ${alter("checked", PRIMARY)}`,
    ],
    [
      "a view of the table",
      "alter table checked rename to behind; create view checked as select * from behind",
      "drop view checked; alter table behind rename to checked",
    ],
    [
      "a column that is NOT NULL, and has a default in the declaration",
      alter("odd_readings", "alter attempts set not null"),
      alter("odd_readings", "alter attempts drop not null"),
    ],
  ])("%s", async (_, change, undo) => {
    const found = await during(change, undo, async () => [
      ...(await differencesOf(checked)),
      ...(await differencesOf(oddStreams[1]!)),
    ]);
    expect(found).toEqual([]);
  });
});

test("a table in a schema of its own is looked for there, whatever its name", async () => {
  const name = 'odd "schema".x';
  const table = pgSchema(name).table("checked", {
    ...eventColumns(),
    more: bigint("more", { mode: "number" }),
  });
  const stream = defineStream({ name: "checked", table, schema: z.strictObject({}), toRow: () => ({}) });
  const quoted = `"${name.replaceAll('"', '""')}"`;
  expect(await differencesOf(stream)).toEqual([`table ${name}.checked is missing`]);
  const found = await during(
    `create schema ${quoted}; create table ${quoted}.checked (id uuid primary key, received_at timestamptz not null, stored_at timestamptz not null)`,
    `drop schema ${quoted} cascade`,
    () => differencesOf(stream),
  );
  expect(found).toEqual([`table ${name}.checked lacks column more`]);
});

/** Counts the questions that reach Postgres. */
function countQuestions(): { asked: number } {
  const counted = { asked: 0 };
  world.neon.setFault(({ queries }) => {
    if (queries.some(({ query }) => query.includes("has_any_column_privilege"))) counted.asked += 1;
    return undefined;
  });
  return counted;
}

describe("the check", () => {
  test("asks once a stream and minute, however many ask", async () => {
    let nowMs = 1_000_000;
    const check = newCheck(() => nowMs);
    const counted = countQuestions();
    await Promise.all([checked, checked, everyType].map((stream) => check.differencesOf(stream)));
    expect(counted.asked).toBe(2);
    await during(
      alter("checked", "rename note to memo"),
      alter("checked", "rename memo to note"),
      async () => {
        counted.asked = 0;
        nowMs += 59_999;
        expect(await check.differencesOf(checked)).toEqual([]);
        expect(counted.asked).toBe(0);
        nowMs += 1;
        expect(await check.differencesOf(checked)).toEqual(["table checked lacks column note"]);
        expect(counted.asked).toBe(1);
      },
    );
  });

  test.each([
    ["no answer", { kind: "refuse" }],
    ["a reply that is lost", { kind: "cut-after" }],
    [
      "a refusal",
      {
        kind: "answer",
        status: 400,
        body: JSON.stringify({ message: "no", severity: "ERROR", code: "42501" }),
      },
    ],
    ["a proxy's refusal", { kind: "answer", status: 500, body: JSON.stringify({ message: "no" }) }],
  ] as const)("is never a second failure: %s finds nothing", async (_, fault) => {
    world.neon.setFault(() => fault);
    expect(await differencesOf(checked)).toEqual([]);
  });

  test("hides no fault of ours", async () => {
    const check = createTableCheck({} as never, 5000, () => 0);
    await expect(check.differencesOf(checked)).rejects.toThrow(TypeError);
    await expect(check.differencesOf(checked)).rejects.toThrow(TypeError);
  });
});

test("a drain that the table stops names the column, in the log and in the buffer", async () => {
  const { id, envelope } = envelopeOf({ n: 1 });
  await world.buffer.push({ stream: "checked", index: 0 }, [envelope]);
  const tick = async () => (await drain(world.supervisor(), { stream: "checked" })).streams[0];
  const reason = "undefined column (SQLSTATE 42703): table checked; table checked lacks column n";
  await during(alter("checked", "rename n to m"), alter("checked", "rename m to n"), async () => {
    expect(await tick()).toMatchObject({ outcome: "misconfigured", stored: 0, dead: 0 });
    expect(world.said.filter(({ event }) => event === "store.misconfigured")).toEqual([
      {
        event: "store.misconfigured",
        fields: { stream: "checked", partition: 0, sqlstate: "42703", reason },
      },
    ]);
    expect(await world.redis.hget("{spillway}:checked:claim:0", "reason")).toBe(reason);
    await expectConserved(world, "checked", [id]);
  });
  expect(await tick()).toMatchObject({ outcome: "empty", stored: 1 });
  await expectConserved(world, "checked", [id]);
});

test("a drain that has to wait for its table asks nothing of the catalog", async () => {
  const { id, envelope } = envelopeOf({ n: 1 });
  await world.buffer.push({ stream: "checked", index: 0 }, [envelope]);
  const full = { message: "no", severity: "ERROR", code: "53100", routine: "mdextend" };
  await during(
    alter("checked", "alter note set not null"),
    alter("checked", "alter note drop not null"),
    async () => {
      world.neon.setFault(({ queries }) =>
        queries.some(({ query }) => isInsert(query, "checked"))
          ? { kind: "answer", status: 400, body: JSON.stringify(full) }
          : undefined,
      );
      const { streams } = await drain(world.supervisor(), { stream: "checked" });
      expect(streams).toMatchObject([{ outcome: "unavailable", stored: 0, dead: 0 }]);
      expect(await world.redis.hget("{spillway}:checked:claim:0", "reason")).toBe(
        "disk full (SQLSTATE 53100): table checked",
      );
      await expectConserved(world, "checked", [id]);
    },
  );
});
