/** pg-boss's worker: four loops that fetch a hundred jobs, insert them and complete them. */
import { drizzle } from "drizzle-orm/node-postgres";
import pg from "pg";
import PgBoss from "pg-boss";
import type { Item } from "../../dev/load/rows.ts";
import { insertItems } from "./rows.ts";

const LOOPS = 4;
const IDLE_MS = 100;

const db = drizzle(new pg.Pool({ connectionString: process.env.DATABASE_URL, max: LOOPS }));
const boss = new PgBoss({ connectionString: process.env.DATABASE_URL ?? "" });
boss.on("error", console.error);
await boss.start();
await boss.createQueue("items");
process.send?.("ready");

async function loop(): Promise<never> {
  for (;;) {
    const jobs = await boss.fetch<Item>("items", { batchSize: 100 });
    if (jobs.length > 0) {
      await insertItems(
        db,
        jobs.map(({ data }) => data),
      );
      await boss.complete(
        "items",
        jobs.map(({ id }) => id),
      );
    } else await new Promise((resolve) => setTimeout(resolve, IDLE_MS));
  }
}

await Promise.all(Array.from({ length: LOOPS }, loop));
