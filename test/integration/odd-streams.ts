/** Streams as lib/streams/ may hold them tomorrow: every kind of schema and column that compiles, for the contract test. */
import { sql } from "drizzle-orm";
import {
  bigint,
  boolean,
  date,
  doublePrecision,
  inet,
  integer,
  interval,
  jsonb,
  json as jsonColumn,
  numeric,
  pgEnum,
  pgTable,
  real,
  smallint,
  text,
  time,
  timestamp,
  uuid,
  varchar,
} from "drizzle-orm/pg-core";
import { z } from "zod";
import { defineStream, eventColumns, json, timestampText } from "../../lib/schema/stream.ts";

const EVENT_COLUMNS =
  "id uuid primary key, received_at timestamptz not null, stored_at timestamptz not null default now()";
const oddState = pgEnum("odd_state", ["open", "in work", "done"]);

/** A field for each type of column; regular expressions, so the examples are declared. */
const orders = defineStream({
  name: "odd_orders",
  table: pgTable("odd_orders", {
    ...eventColumns(),
    orderNumber: text("order_number").notNull(),
    state: oddState("state").notNull(),
    price: numeric("price").notNull(),
    dueOn: date("due_on").notNull(),
    dueAt: time("due_at"),
    takes: interval("takes"),
    from: inet("from"), // a word that SQL reserves
    customerId: uuid("customer_id"),
    tags: text("tags").array().notNull(),
    sizes: integer("sizes").array(),
    short: varchar("short", { length: 3 }),
    rank: smallint("rank"),
    weight: real("weight"),
    lat: doublePrecision("lat"),
    views: bigint("views", { mode: "number" }),
    isGift: boolean("is_gift"),
    seenAt: timestamp("seen_at", { withTimezone: true, mode: "string", precision: 3 }),
    localAt: timestamp("local_at", { mode: "string" }),
    quantity: integer("quantity").notNull().default(1),
    country: text("country").notNull().default("DE"),
    day: date("day").notNull().default(sql`current_date`),
  }),
  schema: z.strictObject({
    orderNumber: z.string().regex(/^[A-Z]{2}-\d{4}$/),
    state: z.enum(["open", "in work", "done"]),
    price: z.string().regex(/^\d+(\.\d+)?$/),
    dueOn: z.iso.date(),
    dueAt: z.iso.time().nullish(),
    takes: z.iso.duration().optional(),
    from: z.ipv4().optional(),
    customerId: z.uuid().optional(),
    tags: z.array(z.string()).max(5),
    sizes: z.array(z.int32()).optional(),
    short: z.string().optional(),
    rank: z.number().optional(),
    weight: z.number().optional(),
    lat: z.number().min(-90).max(90).optional(),
    views: z.int().optional(),
    isGift: z.boolean().optional(),
    seenAt: timestampText().optional(),
    localAt: z.iso.datetime({ local: true }).optional(),
    quantity: z.int32().optional(),
    country: z.string().max(2).optional(),
  }),
  examples: [
    {
      ...{
        orderNumber: "AB-1234",
        state: "open",
        price: "1234567890123456789.0123456789",
        dueOn: "2026-02-28",
      },
      ...{ dueAt: "23:59:59.999999", takes: "P1DT2H", from: "192.0.2.1", tags: ['"quoted"', "{}", "NULL"] },
      ...{ customerId: "019AB000-0000-7000-8000-000000000001", sizes: [1, -2], short: "äöü", rank: -5 },
      ...{
        weight: 0.1,
        lat: 48.137154,
        views: 2 ** 53 - 1,
        isGift: true,
        seenAt: "2026-11-21T09:30:00.123+05:30",
      },
      ...{ localAt: "2026-11-21T09:30", quantity: 7, country: "FR" },
    },
    { orderNumber: "CD-5678", state: "done", price: "10", dueOn: "2026-11-21", dueAt: null, tags: [] },
  ],
});

/** The same in fields that are derived: no declared example. */
const readings = defineStream({
  name: "odd_readings",
  ack: "stored",
  table: pgTable("odd_readings", {
    ...eventColumns(),
    state: oddState("state").notNull(),
    takenOn: date("taken_on").notNull(),
    takenAt: time("taken_at").notNull(),
    sensor: uuid("sensor").notNull(),
    short: varchar("short", { length: 3 }).notNull(),
    rank: smallint("rank").notNull(),
    weight: real("weight").notNull(),
    amount: numeric("amount", { precision: 12, scale: 2 }).notNull(),
    marks: text("marks").array(),
    attempts: integer("attempts").default(3),
    raw: jsonColumn("raw"),
  }),
  schema: z.strictObject({
    state: z.enum(["open", "done"]),
    takenOn: z.iso.date(),
    takenAt: z.iso.time(),
    sensor: z.uuidv4(),
    short: z.string(),
    rank: z.number(),
    weight: z.float32(),
    amount: z.string().regex(/^\d{1,10}$/),
    marks: z.array(z.string()).nullable(),
    attempts: z.int32().nullish(),
    raw: z.json().optional(),
  }),
});

/** Any key: the event as a whole is one column. */
const records = defineStream({
  name: "odd_records",
  table: pgTable("odd_records", { ...eventColumns(), payload: jsonb("payload").notNull() }),
  schema: z.record(z.string(), json()),
  toRow: (payload) => ({ payload }),
});

/** A discriminated union, renamed columns, a bigint out of text, a Date, the version. */
const shapes = defineStream({
  name: "odd_shapes",
  v: 3,
  droppedVersions: [1, 2],
  table: pgTable("odd_shapes", {
    ...eventColumns(),
    what: text("kind_of_shape").notNull(),
    area: bigint("area_in_mm2", { mode: "bigint" }).notNull(),
    drawn: timestamp("drawn_at", { withTimezone: true }).notNull(),
    version: integer("version").notNull(),
    rest: jsonb("rest"),
  }),
  schema: z.discriminatedUnion("kind", [
    z.strictObject({ kind: z.literal("circle"), radius: z.int().min(0).max(1e6), at: timestampText() }),
    z.strictObject({
      kind: z.literal("polygon"),
      corners: z.array(z.tuple([z.number(), z.number()])).min(3),
      at: timestampText(),
      label: z.strictObject({ text: z.string(), size: z.int().optional() }).optional(),
    }),
  ]),
  toRow: ({ kind, at, ...rest }, v) => ({
    what: kind,
    area: 9_007_199_254_740_993n + BigInt("radius" in rest ? rest.radius : rest.corners.length),
    drawn: new Date(at),
    version: v,
    rest,
  }),
});

/** A union of objects whose fields are the columns, without toRow. */
const contacts = defineStream({
  name: "odd_contacts",
  table: pgTable("odd_contacts", {
    ...eventColumns(),
    email: text("email"),
    phoneNumber: text("phone_number"),
    note: text("note"),
  }),
  schema: z.union([
    z.strictObject({ email: z.email(), note: z.string().optional() }),
    z.strictObject({ phoneNumber: z.e164(), note: z.string().optional() }),
  ]),
});

/** Nested objects, records, recursion, template literals; an intersection. */
const nested = defineStream({
  name: "odd_nested",
  table: pgTable("odd_nested", {
    ...eventColumns(),
    address: jsonb("address").notNull(),
    lines: jsonb("lines").notNull(),
    counts: jsonb("counts").notNull(),
    labels: jsonb("labels"),
    tree: jsonb("tree"),
    ref: text("ref"),
  }),
  schema: z
    .strictObject({
      address: z.strictObject({
        city: z.string(),
        geo: z.strictObject({ lat: z.number(), lng: z.number() }).optional(),
      }),
      lines: z.array(z.strictObject({ sku: z.string().min(1), count: z.int().positive() })).min(1),
      counts: z.record(z.enum(["seen", "sold"]), z.int()),
    })
    .and(
      z.strictObject({
        labels: z.record(z.string(), z.string()).optional(),
        tree: z.json().optional(),
        ref: z.templateLiteral(["ref-", z.int(), z.enum(["a", "b"])]).optional(),
      }),
    ),
});

/** What is sent is not what is stored: defaults, a trim, a transform, a codec, a pipe; two fields that belong together. */
const changed = defineStream({
  name: "odd_changed",
  table: pgTable("odd_changed", {
    ...eventColumns(),
    name: text("name").notNull(),
    kind: text("kind").notNull(),
    length: integer("length").notNull(),
    isOn: boolean("is_on").notNull(),
    millis: doublePrecision("millis").notNull(),
    low: integer("low").notNull(),
    high: integer("high").notNull(),
  }),
  schema: z
    .strictObject({
      name: z.string().trim().toUpperCase().max(20),
      kind: z.string().default("none"),
      text: z.string().transform((value) => value.length),
      isOn: z.stringbool(),
      at: z.codec(z.iso.datetime(), z.number(), {
        decode: (value) => Date.parse(value),
        encode: (value) => new Date(value).toISOString(),
      }),
      low: z.int32(),
      high: z.int32(),
    })
    .refine(({ low, high }) => low <= high, { path: ["high"] })
    .transform(({ text: length, at: millis, ...rest }) => ({ ...rest, length, millis })),
});

/** Every way of zod to say that a field may be absent, or to change it; array columns with limits; times of day with a zone. */
const wrapped = defineStream({
  name: "odd_wrapped",
  table: pgTable("odd_wrapped", {
    ...eventColumns(),
    branded: text("branded").notNull(),
    caught: integer("caught").notNull(),
    coerced: integer("coerced"),
    nothing: text("nothing"),
    given: text("given").notNull(),
    made: text("made"),
    either: jsonb("either"),
    states: oddState("states").array(),
    prices: numeric("prices", { precision: 5, scale: 2 }).array(),
    moments: timestamp("moments", { withTimezone: true, mode: "string" }).array(),
    grid: smallint("grid").array().array(),
    opensAt: time("opens_at", { withTimezone: true }),
    weight: real("weight").array(),
  }),
  schema: z
    .strictObject({
      branded: z.string().min(1).brand("Branded"),
      caught: z.int32().catch(3),
      coerced: z.coerce.number().int().max(9).optional(),
      nothing: z.string().nullable().default(null),
      given: z.string().prefault("given"),
      made: z.preprocess((value) => (value === "" ? undefined : value), z.string().optional()),
      either: z
        .discriminatedUnion("kind", [
          z.strictObject({ kind: z.literal("a").optional(), n: z.int().nullish() }),
          z.strictObject({ kind: z.literal("b"), n: z.int().optional() }),
        ])
        .optional(),
      states: z.array(z.enum(["open", "done"])).nullish(),
      prices: z.array(z.string().regex(/^\d{1,3}(\.\d+)?$/)).optional(),
      moments: z.array(timestampText()).optional(),
      grid: z.array(z.tuple([z.int().max(9), z.int().max(9)])).optional(),
      opensAt: z.iso.time().optional(),
      weight: z.array(z.float32()).optional(),
    })
    .readonly(),
  examples: [
    {
      ...{
        branded: "b",
        caught: 1,
        coerced: "4",
        nothing: "x",
        given: "g",
        made: "m",
        either: { kind: null, n: null },
      },
      ...{ states: ["open", "done"], prices: ["999.994", "0"], moments: ["2026-11-21t09:30:60.123456789z"] },
      ...{
        grid: [
          [1, 2],
          [3, 4],
        ],
        opensAt: "23:59:59.5",
        weight: [0.1, -1],
      },
    },
    { branded: "c", caught: "not a number", either: { kind: "b" }, states: [], grid: [], weight: [] },
  ] as never[],
});

export const oddStreams = [orders, readings, records, shapes, contacts, nested, changed, wrapped];

export const DROP_ODD_TABLES = `
  drop table if exists ${oddStreams.map(({ name }) => name).join(", ")};
  drop type if exists odd_state;`;

/** What migrations would make of the tables above. */
export const CREATE_ODD_TABLES = `${DROP_ODD_TABLES}
  create type odd_state as enum ('open', 'in work', 'done');
  create table odd_orders (${EVENT_COLUMNS}, order_number text not null, state odd_state not null,
    price numeric not null, due_on date not null, due_at time, takes interval, "from" inet, customer_id uuid,
    tags text[] not null, sizes integer[], short varchar(3), rank smallint, weight real, lat double precision,
    views bigint, is_gift boolean, seen_at timestamptz(3), local_at timestamp, quantity integer not null default 1,
    country text not null default 'DE', day date not null default current_date);
  create table odd_readings (${EVENT_COLUMNS}, state odd_state not null, taken_on date not null,
    taken_at time not null, sensor uuid not null, short varchar(3) not null, rank smallint not null,
    weight real not null, amount numeric(12, 2) not null, marks text[], attempts integer default 3, raw json);
  create table odd_records (${EVENT_COLUMNS}, payload jsonb not null);
  create table odd_shapes (${EVENT_COLUMNS}, kind_of_shape text not null, area_in_mm2 bigint not null,
    drawn_at timestamptz not null, version integer not null, rest jsonb);
  create table odd_contacts (${EVENT_COLUMNS}, email text, phone_number text, note text);
  create table odd_nested (${EVENT_COLUMNS}, address jsonb not null, lines jsonb not null, counts jsonb not null,
    labels jsonb, tree jsonb, ref text);
  create table odd_changed (${EVENT_COLUMNS}, name text not null, kind text not null, length integer not null,
    is_on boolean not null, millis double precision not null, low integer not null, high integer not null);
  create table odd_wrapped (${EVENT_COLUMNS}, branded text not null, caught integer not null, coerced integer,
    nothing text, given text not null, made text, either jsonb, states odd_state[], prices numeric(5, 2)[],
    moments timestamptz[], grid smallint[][], opens_at timetz, weight real[]);`;
