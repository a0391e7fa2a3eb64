/** Reading a body: whatever its end is, nothing of its reader is left on the request, which may live for long. */
import { IncomingMessage } from "node:http";
import { Socket } from "node:net";
import { gzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { readBody } from "../../functions/body.ts";
import { Room } from "../../lib/flow/room.ts";

const EVENTS = ["data", "end", "error", "close", "pause", "resume", "unpipe"];
const listenersOf = (req: IncomingMessage) => EVENTS.map((event) => [event, req.listenerCount(event)]);

/** Reads this body to its end; returns how many bytes came, or the status of the problem. */
async function read(req: IncomingMessage, encoding: "identity" | "gzip", withinMs = 60_000) {
  const seen = { bytes: 0 };
  const consume = (piece: Buffer) => {
    if (piece.includes("bad")) throw Object.assign(new Error("its reader's own"), { status: "thrown" });
    seen.bytes += piece.length;
    return Promise.resolve();
  };
  const deadlineAtMs = performance.now() + withinMs;
  const share = new Room(1_000_000).share();
  return readBody(req, { encoding, maxBytes: 100, deadlineAtMs, share, consume }).then(
    () => seen.bytes,
    (error: { status: unknown }) => error.status,
  );
}

test.each([
  ["ends", "identity", Buffer.from("[1]"), 3],
  ["ends", "gzip", gzipSync("[1]"), 3],
  ["is too large", "identity", Buffer.alloc(101), 413],
  ["is too large as sent", "gzip", Buffer.concat([gzipSync("[1]"), Buffer.alloc(101)]), 413],
  ["is too large once inflated", "gzip", gzipSync(Buffer.alloc(1000)), 413],
  ["is not gzip", "gzip", Buffer.from("[1]"), 400],
  ["is refused by its reader", "identity", Buffer.from("bad"), "thrown"],
  ["is refused by its reader", "gzip", gzipSync("bad"), "thrown"],
] as const)("a body that %s (%s) leaves no listener", async (_, encoding, body, result) => {
  const req = new IncomingMessage(new Socket());
  const before = listenersOf(req);
  req.push(body);
  req.push(null);
  req.complete = true;
  expect(await read(req, encoding)).toBe(result);
  expect(listenersOf(req)).toEqual(before);
});

test.each(["identity", "gzip"] as const)(
  "a body that breaks off (%s) leaves no listener",
  async (encoding) => {
    const req = new IncomingMessage(new Socket());
    const before = listenersOf(req);
    const reading = read(req, encoding);
    req.emit("close");
    expect(await reading).toBe(400);
    expect(listenersOf(req)).toEqual(before);
  },
);

test.each(["identity", "gzip"] as const)("a body that is late (%s) leaves no listener", async (encoding) => {
  const req = new IncomingMessage(new Socket());
  const before = listenersOf(req);
  expect(await read(req, encoding, 0)).toBe(408);
  expect(listenersOf(req)).toEqual(before);
});
