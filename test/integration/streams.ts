/** Streams of the tests' own: one that Postgres can refuse, one with every column type that rows are made of. */
import { sql } from "drizzle-orm";
import {
  bigint,
  boolean,
  check,
  date,
  doublePrecision,
  integer,
  jsonb,
  numeric,
  pgTable,
  real,
  smallint,
  text,
  timestamp,
  varchar,
} from "drizzle-orm/pg-core";
import { z } from "zod";
import { defineStream, eventColumns, json } from "../../lib/schema/stream.ts";

const checkedTable = pgTable(
  "checked",
  { ...eventColumns(), n: integer("n").notNull(), note: text("note") },
  (table) => [check("n_is_positive", sql`${table.n} > 0`)],
);

/** Accepts any n; its table refuses n ≤ 0 (23514), and a trigger sleeps or raises by `note`. */
export const checked = defineStream({
  name: "checked",
  table: checkedTable,
  schema: z.strictObject({ n: z.int(), note: z.string().optional() }),
  toRow: ({ n, note }) => {
    if (note === "toRow throws") throw new RangeError("on purpose");
    return { n, note };
  },
});

export const everyTypeTable = pgTable("every_type", {
  ...eventColumns(),
  text: text("a_text"),
  varchar: varchar("a_varchar", { length: 10 }),
  integer: integer("an_integer"),
  smallint: smallint("a_smallint"),
  bigint: bigint("a_bigint", { mode: "bigint" }),
  real: real("a_real"),
  double: doublePrecision("a_double"),
  numeric: numeric("a_numeric"),
  boolean: boolean("a_boolean"),
  jsonb: jsonb("a_jsonb"),
  date: date("a_date"),
  moment: timestamp("a_moment", { withTimezone: true }),
  list: text("a_list").array(),
  withDefault: integer("with_default").notNull().default(7),
});

export const everyType = defineStream({
  name: "every_type",
  table: everyTypeTable,
  schema: z.strictObject({ value: json() }),
  toRow: () => ({}),
});

/** What migrations would make of the tables above. */
export const CREATE_TABLES = `
  drop table if exists checked, every_type;
  create table checked (
    id uuid primary key, received_at timestamptz not null, stored_at timestamptz not null default now(),
    n integer not null constraint n_is_positive check (n > 0), note text);
  create or replace function checked_trigger() returns trigger language plpgsql as $$
    begin
      if new.note = 'sleeps' then perform pg_sleep(30); end if;
      if new.note = 'terminated' then raise exception 'no' using errcode = '57P01'; end if;
      if new.note = 'raises' then raise exception 'no'; end if;
      if new.note = 'disk full' then raise exception 'no' using errcode = '53100'; end if;
      return new;
    end $$;
  create trigger checked_trigger before insert on checked for each row execute function checked_trigger();
  create table every_type (
    id uuid primary key, received_at timestamptz not null, stored_at timestamptz not null default now(),
    a_text text, a_varchar varchar(10), an_integer integer, a_smallint smallint, a_bigint bigint, a_real real,
    a_double double precision, a_numeric numeric, a_boolean boolean, a_jsonb jsonb, a_date date,
    a_moment timestamptz, a_list text[], with_default integer not null default 7);`;
