/** A table with every column type that rows are made of. */
import {
  bigint,
  boolean,
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

export default defineStream({
  name: "every_type",
  table: everyTypeTable,
  schema: z.strictObject({ value: json() }),
  toRow: () => ({}),
});
