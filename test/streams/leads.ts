/** Sales leads: few and precious, so Postgres has each before its sender hears 201. */
import { pgTable, text } from "drizzle-orm/pg-core";
import { z } from "zod";
import { defineStream, eventColumns } from "../../lib/schema/stream.ts";

export const leads = pgTable("leads", {
  ...eventColumns(),
  name: text("name").notNull(),
  phone: text("phone"),
  email: text("email"),
  source: text("source").notNull(),
  notes: text("notes"),
});

export default defineStream({
  name: "leads",
  table: leads,
  ack: "stored",
  schema: z.strictObject({
    name: z.string().min(1).max(500),
    phone: z.string().max(100).optional(),
    email: z.email().max(320).optional(),
    source: z.string().min(1).max(200),
    notes: z.string().max(20_000).optional(),
  }),
});
