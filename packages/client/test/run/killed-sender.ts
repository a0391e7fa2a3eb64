/**
 * A process that sends, and is killed: `URL KEY DIR FROM TO`. Sends events FROM to TO - 1 in bursts, and says `kept N ID` for each that its store
 * has, `ended ID KIND` for each end, and `empty` whenever nothing waits. It runs until it is killed.
 */
import { writeSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { makeClient } from "../../src/client.ts";
import { files } from "../../src/stores/files.ts";

const [url = "", key = "", dir = "", from, to] = process.argv.slice(2);
/** Says a line before it goes on, also if the reader is slow: what is written to a stream later could be lost with the process. */
function say(line: string): void {
  for (;;)
    try {
      return void writeSync(1, `${line}\n`);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EAGAIN") throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
    }
}
const client = makeClient(
  { url, key, store: files(dir), onOutcome: ({ id, kind }) => say(`ended ${id} ${kind}`) },
  { backOffMaxMs: 500, beatMs: 200, watchMs: 1000 },
);
say("started");
for (let n = Number(from); n < Number(to); n++) {
  const { id, kept } = client.send("events", { type: "killed", payload: { n } });
  if (await kept) say(`kept ${n} ${id}`);
  if (n % 25 === 0) await sleep(4);
}
for (;;) {
  if (await client.flush({ withinMs: 500 })) say("empty");
  await sleep(50);
}
