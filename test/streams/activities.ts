/** What happened with a contact: calls, notes, visits. */
import { pgTable, text } from "drizzle-orm/pg-core";
import { z } from "zod";
import { defineStream, eventColumns } from "../../lib/schema/stream.ts";

export const activities = pgTable("activities", {
  ...eventColumns(),
  contactId: text("contact_id").notNull(),
  type: text("type").notNull(),
  description: text("description").notNull(),
});

export default defineStream({
  name: "activities",
  table: activities,
  schema: z.strictObject({
    contactId: z.string().min(1).max(200),
    type: z.string().min(1).max(200),
    description: z.string().max(20_000),
  }),
});
