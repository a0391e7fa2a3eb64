/**
 * BullMQ's worker: 200 jobs at once, which gather into inserts of up to 100 rows and are done when theirs is.
 * (Batches of jobs are a feature of BullMQ Pro; this is how people make them without.)
 */
import { Worker } from "bullmq";
import { drizzle } from "drizzle-orm/node-postgres";
import pg from "pg";
import type { Item } from "../../dev/load/rows.ts";
import { GroupCommit, type Take } from "../../lib/flow/group-commit.ts";
import { insertItems } from "./rows.ts";

const CONCURRENCY = 200;

const db = drizzle(new pg.Pool({ connectionString: process.env.DATABASE_URL, max: 8 }));
const group = new GroupCommit((take: Take<Item>) => insertItems(db, take()), {
  maxCount: 100,
  maxBytes: Number.POSITIVE_INFINITY,
  maxWaitingBytes: Number.POSITIVE_INFINITY,
  concurrency: 2,
});

const worker = new Worker<Item>("items", async ({ data }) => void (await group.add([data], 0)), {
  connection: { url: process.env.REDIS_URL ?? "" },
  concurrency: CONCURRENCY,
});
await worker.waitUntilReady();
process.send?.("ready");
