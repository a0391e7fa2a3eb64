/** The naive buffer's loop: LPOP a hundred, insert them, and hope that nothing happens in between. */
import { neon, neonConfig } from "@neondatabase/serverless";
import { Redis } from "@upstash/redis";
import { drizzle } from "drizzle-orm/neon-http";
import type { Item } from "../../dev/load/rows.ts";
import { insertItems } from "./rows.ts";

const IDLE_MS = 100;

neonConfig.fetchEndpoint = process.env.NEON_HTTP_URL ?? "";
const db = drizzle(neon(process.env.DATABASE_URL ?? ""));
const redis = new Redis({ url: process.env.REST_URL, token: process.env.REST_TOKEN });

process.send?.("ready");
for (;;) {
  const items = await redis.lpop<Item[]>("naive", 100);
  if (items && items.length > 0) await insertItems(db, items);
  else await new Promise((resolve) => setTimeout(resolve, IDLE_MS));
}
