/** BullMQ's front: one job a request. */
import { http } from "@google-cloud/functions-framework";
import { Queue } from "bullmq";
import { itemOf } from "../../dev/load/rows.ts";

const queue = new Queue("items", {
  connection: { url: process.env.REDIS_URL ?? "" },
  defaultJobOptions: { removeOnComplete: true },
});

http("target", async (req, res) => {
  const item = itemOf(req.path, req.body);
  await queue.add("item", item);
  res.status(202).json({ ids: [item.row.id] });
});
