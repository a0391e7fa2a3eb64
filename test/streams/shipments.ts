/**
 * Writes into a table that is there already: in a schema of its own, with a serial primary key, the event's id in another column, and
 * neither of the two times. The table refuses a shipment of 0 g, and one without a carrier.
 */
import { boolean, integer, pgSchema, serial, text, uuid } from "drizzle-orm/pg-core";
import { z } from "zod";
import { defineStream } from "../../lib/schema/stream.ts";

const table = pgSchema("warehouse 2").table("Old shipments", {
  no: serial("no").primaryKey(),
  id: uuid("event_id").notNull(),
  orderNumber: text("order no").notNull(),
  grams: integer("g").notNull(),
  carrier: text("carrier").notNull(),
  seen: boolean("seen")
    .notNull()
    .$defaultFn(() => true),
});

export const ddl = `
  create schema "warehouse 2";
  create table "warehouse 2"."Old shipments" (
    no serial primary key, event_id uuid not null unique, "order no" text not null, g integer not null,
    carrier text not null, seen boolean not null default false, constraint "has weight" check (g > 0))`;

export default defineStream({
  name: "shipments",
  table,
  existing: true,
  schema: z.strictObject({ orderNumber: z.string(), grams: z.int32(), carrier: z.string().optional() }),
  toRow: ({ carrier, ...rest }) => ({ ...rest, carrier: carrier as string }),
});
