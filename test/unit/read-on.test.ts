/** Reading on after an early answer: up to a time, and by turns. */
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { Readable } from "node:stream";
import { afterEach, expect, test, vi } from "vitest";
import { Problem, sendProblem } from "../../functions/answer.ts";
import { readOn } from "../../functions/read-on.ts";
import { openRawClient } from "../raw-client.ts";

afterEach(() => void vi.useRealTimers());

test("a client that neither sends its body on nor leaves is left after ten seconds, and not before", async () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] }); // Node's own timers go on
  const server = createServer((_, res) => sendProblem(res, new Problem("unknown-path", "no")));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const client = openRawClient((server.address() as AddressInfo).port);
  let isClosed = false;
  const answers = client.answers().then((all) => {
    isClosed = true;
    return all;
  });
  client.send("POST / HTTP/1.1\r\nhost: spillway\r\ncontent-length: 9\r\n\r\nx");
  while (vi.getTimerCount() === 0) await new Promise((resolve) => setImmediate(resolve));
  await vi.advanceTimersByTimeAsync(9999);
  expect(isClosed).toBe(false);
  await vi.advanceTimersByTimeAsync(1);
  expect((await answers).map(({ status }) => status)).toEqual([404]);
  server.close();
});

test("large refused bodies are read by turns, so that none takes all the time of the instance", async () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  const bodies = Array.from({ length: 3 }, () => openBody(2_000_000));
  const read = () => bodies.map(({ readBytes }) => readBytes());
  await settled();
  const atOnce = read();
  for (const bytes of atOnce) expect(bytes).toBeLessThan(500_000);

  // Each turn is one body's, in order.
  let before = atOnce;
  for (let turn = 0; turn < 6; turn++) {
    await vi.advanceTimersByTimeAsync(2);
    await settled();
    const now = read();
    const grown = now.map((bytes, i) => bytes - (before[i] ?? 0));
    expect(grown.map((bytes) => bytes > 0)).toEqual([0, 1, 2].map((i) => i === turn % 3));
    expect(Math.max(...grown)).toBeLessThan(200_000);
    before = now;
  }
  for (let turn = 0; bodies.some(({ isDone }) => !isDone()) && turn < 300; turn++) {
    await vi.advanceTimersByTimeAsync(2);
    await settled();
  }
  expect(read()).toEqual([2_000_000, 2_000_000, 2_000_000]);
});

/** A request whose body is there, in pieces as Node's sockets give them, and is read on. */
function openBody(bytes: number) {
  const pieces = Array.from({ length: bytes / 40_000 }, () => Buffer.alloc(40_000));
  let readBytes = 0;
  let isDone = false;
  const req = Readable.from(pieces, { objectMode: false, highWaterMark: 1 });
  req.on("data", (piece: Buffer) => (readBytes += piece.length));
  readOn(Object.assign(req, { complete: true }) as unknown as IncomingMessage, () => (isDone = true));
  return { readBytes: () => readBytes, isDone: () => isDone };
}

/** Resolves once what can go on without a timer has gone on. */
async function settled(): Promise<void> {
  for (let i = 0; i < 200; i++) await new Promise((resolve) => setImmediate(resolve));
}
