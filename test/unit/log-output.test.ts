/** The log's output, with a reader that the test stops. */
import { Writable } from "node:stream";
import { expect, test } from "vitest";
import { LogOutput } from "../../lib/log-output.ts";

/** An output whose reader reads when it is told to. */
function stoppedOutput() {
  const taken: string[] = [];
  const waiting: (() => void)[] = [];
  const output = new Writable({
    decodeStrings: false,
    write: (chunk: string, _encoding, done) => {
      taken.push(chunk);
      waiting.push(done);
    },
  });
  const readAll = async () => {
    while (waiting.length > 0) {
      waiting.shift()?.();
      await new Promise((resolve) => setImmediate(resolve));
    }
  };
  return { output, taken, readAll };
}

test("lines that nobody reads wait up to a megabyte; more are dropped, and counted once somebody reads", async () => {
  const { output, taken, readAll } = stoppedOutput();
  const log = new LogOutput(output);
  const line = `${"x".repeat(99_999)}\n`;
  for (let i = 0; i < 15; i++) log.write(line);
  expect(output.writableLength).toBe(1_000_000);
  await readAll();
  expect(taken).toHaveLength(10);
  log.write("after\n");
  await readAll();
  expect(taken.slice(10).map((text) => text.trim())).toEqual([
    '{"severity":"WARNING","event":"log.dropped","message":"log.dropped","lines":5}',
    "after",
  ]);
});

test("an output that fails throws nothing", async () => {
  const output = new Writable({ write: (_chunk, _encoding, done) => done(new Error("EPIPE")) });
  const log = new LogOutput(output);
  const failed = new Promise((resolve) => output.once("close", resolve));
  log.write("lost\n");
  await failed;
  log.write("lost, too\n");
  expect(output.destroyed).toBe(true);
});
