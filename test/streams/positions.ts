/**
 * The last position of each user: of the fixes that come, the newest stays, in whatever order they come. Units are those of
 * `locations`. A fix from the future would win for as long as its clock is ahead, so one that is a day ahead is refused.
 */
import { doublePrecision, pgTable, text, timestamp, uuid } from "drizzle-orm/pg-core";
import { z } from "zod";
import { defineStream, eventColumns, timestampText, unsetIf } from "../../lib/schema/stream.ts";

export const positions = pgTable("positions", {
  ...eventColumns(),
  userId: text("user_id").primaryKey(),
  id: uuid("id").notNull(),
  lat: doublePrecision("lat").notNull(),
  lng: doublePrecision("lng").notNull(),
  accuracy: doublePrecision("accuracy"),
  speed: doublePrecision("speed"),
  recordedAt: timestamp("recorded_at", { withTimezone: true, mode: "string" }).notNull(),
});

const isNegative = (value: number) => value < 0;
const DAY_MS = 86_400_000;

export default defineStream({
  name: "positions",
  table: positions,
  schema: z.strictObject({
    userId: z.string().min(1).max(200),
    lat: z.number().min(-90).max(90),
    lng: z.number().min(-180).max(180),
    accuracy: unsetIf(isNegative, z.number()),
    speed: unsetIf(isNegative, z.number()),
    recordedAt: timestampText({ aheadMaxMs: DAY_MS }),
  }),
  onConflict: { key: ["userId"], newest: "recordedAt" },
});
