/**
 * GPS fixes: degrees (WGS 84), accuracy in metres, speed in metres per second. Null (Geolocation of browsers) and negative values
 * (Core Location of iOS) mean that accuracy or speed are unknown: both are unset. To Core Location, a fix of negative accuracy is
 * invalid; it is stored all the same, without an accuracy.
 */
import { doublePrecision, pgTable, text, timestamp } from "drizzle-orm/pg-core";
import { z } from "zod";
import { defineStream, eventColumns, timestampText, unsetIf } from "../../lib/schema/stream.ts";

export const locations = pgTable("locations", {
  ...eventColumns(),
  userId: text("user_id").notNull(),
  lat: doublePrecision("lat").notNull(),
  lng: doublePrecision("lng").notNull(),
  accuracy: doublePrecision("accuracy"),
  speed: doublePrecision("speed"),
  recordedAt: timestamp("recorded_at", { withTimezone: true, mode: "string" }).notNull(),
});

const isNegative = (value: number) => value < 0;

export default defineStream({
  name: "locations",
  table: locations,
  schema: z.strictObject({
    userId: z.string().min(1).max(200),
    lat: z.number().min(-90).max(90),
    lng: z.number().min(-180).max(180),
    accuracy: unsetIf(isNegative, z.number()),
    speed: unsetIf(isNegative, z.number()),
    recordedAt: timestampText(),
  }),
});
