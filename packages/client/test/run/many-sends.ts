/** Sends SENDS events to a server that is away, and prints what became of them, and the heap after each tenth, in MB. */
import { makeClient } from "../../src/client.ts";

const sends = Number(process.argv[2]);
let dropped = 0;
const client = makeClient(
  { url: "http://127.0.0.1:9", key: "key", onOutcome: ({ kind }) => void (kind === "dropped" && dropped++) },
  { backOffMaxMs: 50 },
);
const heapsMb: number[] = [];
for (let tenth = 0; tenth < 10; tenth++) {
  for (let n = 0; n < sends / 10; n++) {
    client.send(n % 3 ? "a" : "b", { tenth, n, text: "some text of an event" });
    if (n % 1000 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  await new Promise((resolve) => setTimeout(resolve, 100));
  globalThis.gc?.();
  heapsMb.push(process.memoryUsage().heapUsed / 1e6);
}
const { events: waiting, bytes } = client.waiting;
console.log(JSON.stringify({ heapsMb, sent: sends, dropped, waiting, bytes }));
process.exit();
