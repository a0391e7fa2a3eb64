/** The streams in the pictures: a shop's. They are declared here, so that a picture does not depend on the streams of lib/streams/. */
import { doublePrecision, integer, pgTable, text } from "drizzle-orm/pg-core";
import pg from "pg";
import { z } from "zod";
import { migrateOurs } from "../../drizzle/migrate.ts";
import { defineStream, eventColumns } from "../../lib/schema/stream.ts";

const orders = defineStream({
  name: "orders",
  table: pgTable("orders", {
    ...eventColumns(),
    sku: text("sku").notNull(),
    cents: integer("cents").notNull(),
  }),
  schema: z.strictObject({ sku: z.string().min(1), cents: z.int32() }),
});

const pageViews = defineStream({
  name: "page_views",
  table: pgTable("page_views", { ...eventColumns(), path: text("path").notNull() }),
  schema: z.strictObject({ path: z.string().min(1) }),
});

const readings = defineStream({
  name: "readings",
  table: pgTable("readings", {
    ...eventColumns(),
    sensor: text("sensor").notNull(),
    celsius: doublePrecision("celsius").notNull(),
  }),
  schema: z.strictObject({ sensor: z.string().min(1), celsius: z.number() }),
});

const signups = defineStream({
  name: "signups",
  ack: "stored",
  table: pgTable("signups", { ...eventColumns(), plan: text("plan").notNull() }),
  schema: z.strictObject({ plan: z.string().min(1) }),
});

export const SHOP = [orders, pageViews, readings, signups];

const OWN =
  "id uuid primary key, received_at timestamptz not null, stored_at timestamptz not null default now()";

/** The table of readings refuses what no thermometer can have measured, so that there are dead letters to show. */
const TABLES = `
  create table orders (${OWN}, sku text not null, cents integer not null);
  create table page_views (${OWN}, path text not null);
  create table readings (${OWN}, sensor text not null, celsius float8 not null,
    constraint celsius_is_possible check (celsius > -273.15));
  create table signups (${OWN}, plan text not null)`;

/** Makes our tables and those of the shop, in an empty database. */
export async function migrateShop(databaseUrl: string): Promise<void> {
  await migrateOurs(databaseUrl);
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  await client.query(TABLES).finally(() => client.end());
}
