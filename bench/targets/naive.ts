/** The naive buffer's front: one LPUSH a request, by Upstash's client as it comes. */
import { http } from "@google-cloud/functions-framework";
import { Redis } from "@upstash/redis";
import { itemOf } from "../../dev/load/rows.ts";

const redis = new Redis({ url: process.env.REST_URL, token: process.env.REST_TOKEN });

http("target", async (req, res) => {
  const item = itemOf(req.path, req.body);
  await redis.lpush("naive", item);
  res.status(202).json({ ids: [item.row.id] });
});
