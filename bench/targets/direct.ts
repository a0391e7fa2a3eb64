/** Direct: one Drizzle insert a request over a pool of 100 connections, the way people start. */
import { http } from "@google-cloud/functions-framework";
import { drizzle } from "drizzle-orm/node-postgres";
import pg from "pg";
import { insertItems, itemOf } from "./rows.ts";

const db = drizzle(new pg.Pool({ connectionString: process.env.DATABASE_URL, max: 100 }));

http("target", async (req, res) => {
  const item = itemOf(req.path, req.body);
  await insertItems(db, [item]);
  res.status(201).json({ ids: [item.row.id] });
});
