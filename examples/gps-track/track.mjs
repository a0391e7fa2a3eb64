/**
 * Records a GPS track: fixes come as JSON lines on standard input, in a car without signal or with it. Each is in a file before the next is read, so
 * the process may end at any time. Usage: … | INGEST_URL=… SPILLWAY_KEY=… STORE_DIR=./track node track.mjs
 */
import { createInterface } from "node:readline";
import { createClient } from "spillway/client";
import { files } from "spillway/client/files";

const { INGEST_URL: url = "", SPILLWAY_KEY: key = "", STORE_DIR = "./track" } = process.env;
const spillway = createClient({ url, key, store: files(STORE_DIR) });

for await (const line of createInterface({ input: process.stdin }))
  spillway.send("locations", { recordedAt: new Date().toISOString(), ...JSON.parse(line) });

const isSettled = await spillway.flush({ withinMs: 5000 });
console.log(isSettled ? "all sent" : `${spillway.waiting.events} wait for the next start`);
await spillway.close();
