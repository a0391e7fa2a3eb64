/** Direct: one Drizzle insert a request over a pool of 100 connections, the way people start. */
import { http } from "@google-cloud/functions-framework";
import { drizzle } from "drizzle-orm/node-postgres";
import pg from "pg";
import { insertRows, itemOf, type Tables } from "./rows.ts";

/** Serves the function `target`, which inserts into these tables of DATABASE_URL. */
export function serveDirect(tables: Tables): void {
  const db = drizzle(new pg.Pool({ connectionString: process.env.DATABASE_URL, max: 100 }));
  http("target", async (req, res) => {
    const item = itemOf(req.path, req.body);
    await insertRows(db, tables, [item]);
    res.status(201).json({ ids: [item.row.id] });
  });
}
