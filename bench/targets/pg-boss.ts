/** pg-boss's front: one job a request. */
import { http } from "@google-cloud/functions-framework";
import PgBoss from "pg-boss";
import { itemOf } from "../../dev/load/rows.ts";

const boss = new PgBoss({
  connectionString: process.env.DATABASE_URL ?? "",
  supervise: false,
  schedule: false,
});
boss.on("error", console.error);
const started = boss.start();

http("target", async (req, res) => {
  await started;
  const item = itemOf(req.path, req.body);
  await boss.send("items", item);
  res.status(202).json({ ids: [item.row.id] });
});
