/**
 * A server that takes orders and hands each to Spillway. It answers once the event is in its own store, so it is fast while Spillway is away, and
 * loses nothing if it is killed. Usage: INGEST_URL=… SPILLWAY_KEY=… STORE_DIR=./waiting PORT=3000 node server.mjs
 */
import express from "express";
import { createClient } from "spillway/client";
import { files } from "spillway/client/files";

const { INGEST_URL: url = "", SPILLWAY_KEY: key = "", STORE_DIR = "./waiting", PORT = "3000" } = process.env;

const spillway = createClient({
  url,
  key,
  store: files(STORE_DIR),
  onOutcome: (outcome) => {
    if (outcome.kind === "refused" || outcome.kind === "dropped") console.error("lost", outcome);
  },
});

const app = express();
app.use(express.json());
app.post("/orders", async (req, res) => {
  const { id, kept } = spillway.send("events", { type: "example.express", payload: req.body });
  res.status((await kept) ? 202 : 503).json({ id });
});
const server = app.listen(Number(PORT), "127.0.0.1", () => console.log("listening"));

process.once("SIGTERM", async () => {
  server.close();
  await spillway.flush({ withinMs: 5000 });
  await spillway.close(); // what still waits is the next process's
  process.exit();
});
