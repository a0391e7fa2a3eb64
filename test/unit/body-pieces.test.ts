/** A body on a real connection: in pieces of any size, while its reader waits, up to its limits. */
import { once } from "node:events";
import { createServer, type IncomingMessage } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";
import { gzipSync } from "node:zlib";
import { afterEach, describe, expect, test } from "vitest";
import { Problem } from "../../functions/answer.ts";
import { checkDeclaredLength, type Encoding, readBody } from "../../functions/body.ts";
import { Room } from "../../lib/flow/room.ts";

const open: (() => void)[] = [];
afterEach(() => {
  for (const close of open.splice(0)) close();
});

/** Sends a request's head. Returns the request as the server has it, and the client's socket. */
async function receive(head: string): Promise<{ req: IncomingMessage; socket: Socket }> {
  const server = createServer(() => {});
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const socket = connect((server.address() as AddressInfo).port, "127.0.0.1").on("error", () => {});
  open.push(() => {
    socket.destroy();
    server.close();
    server.closeAllConnections();
  });
  socket.write(`POST / HTTP/1.1\r\nhost: spillway\r\n${head}\r\n\r\n`);
  const [req] = (await once(server, "request")) as [IncomingMessage];
  return { req, socket };
}

const CHUNKED = "transfer-encoding: chunked";
const inChunks = (bytes: Buffer, size: number): Buffer =>
  Buffer.concat(
    Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) => {
      const piece = bytes.subarray(i * size, (i + 1) * size);
      return Buffer.concat([Buffer.from(`${piece.length.toString(16)}\r\n`), piece, Buffer.from("\r\n")]);
    }),
  );
const LAST = "0\r\n\r\n";

interface Given {
  encoding?: Encoding;
  maxBytes?: number;
  room?: Room;
  deadlineAtMs?: number;
}

type Consume = (piece: Buffer) => Promise<void> | undefined;

function readTo(consume: Consume, req: IncomingMessage, given: Given = {}): Promise<void> {
  const { encoding = "identity", maxBytes = 1_000_000, room = new Room(10_000_000) } = given;
  const { deadlineAtMs = performance.now() + 60_000 } = given;
  return readBody(req, { encoding, maxBytes, deadlineAtMs, share: room.share(), consume });
}

/** Reads to the end. Returns the bytes of each piece. */
async function readAll(req: IncomingMessage, given: Given = {}): Promise<Buffer[]> {
  const pieces: Buffer[] = [];
  await readTo((piece) => void pieces.push(Buffer.from(piece)), req, given);
  return pieces;
}

describe.each([1, 7, 1000, 100_000])("chunks of %i bytes", (size) => {
  const bytes = Buffer.from(Array.from({ length: 90_000 }, (_, i) => i % 251));

  test.each(["identity", "gzip"] as const)("come through, %s", async (encoding) => {
    const { req, socket } = await receive(CHUNKED);
    const reading = readAll(req, { encoding });
    socket.write(inChunks(encoding === "gzip" ? gzipSync(bytes, { level: 0 }) : bytes, size));
    socket.write(LAST);
    expect(Buffer.concat(await reading).equals(bytes)).toBe(true);
  });

  test("that come while the reader waits are not kept one by one, nor by Node", async () => {
    const { req, socket } = await receive(CHUNKED);
    let received = 0;
    const pieces: Buffer[] = [];
    const consume = (piece: Buffer) => {
      pieces.push(Buffer.from(piece));
      return pieces.length === 1 ? comes(() => received === 90_001) : undefined;
    };
    const reading = readTo(consume, req);
    req.on("data", (piece: Buffer) => {
      received += piece.length;
      piece.fill(0); // whoever kept this piece has zeros now
    });
    socket.write(inChunks(Buffer.from("a"), 1));
    await comes(() => pieces.length === 1);
    socket.write(inChunks(Buffer.alloc(90_000, "x"), size));
    await comes(() => received === 90_001);
    expect([req.readableLength, req.isPaused()]).toEqual([0, false]);
    socket.write(LAST);
    await reading;
    const whole = Buffer.concat(pieces);
    expect(whole.length).toBe(90_001);
    expect(whole.filter((byte) => byte === 0).length).toBeLessThanOrEqual(size); // one alone is not copied
    expect(Math.max(...pieces.map(({ length }) => length))).toBeLessThanOrEqual(65_536);
  });
});

test.each(["identity", "gzip"] as const)(
  "a body in more than 100,000 pieces is a 413, %s",
  async (encoding) => {
    const { req, socket } = await receive(CHUNKED);
    const reading = readAll(req, { encoding });
    const text = Buffer.alloc(100_001, " ");
    socket.write(inChunks(encoding === "gzip" ? gzipSync(text, { level: 0 }).subarray(0, 100_001) : text, 1));
    socket.write(LAST);
    await expect(reading).rejects.toMatchObject({ status: 413, message: expect.stringContaining("100000") });
  },
);

test.each(["identity", "gzip"] as const)(
  "of exactly its limit a body passes, of a byte more it is a 413, %s",
  async (encoding) => {
    for (const length of [5000, 5001]) {
      const bytes = Buffer.alloc(length, "x");
      const declared = await receive(`content-length: ${length}`);
      const { req, socket } = await receive(CHUNKED);
      const reading = readAll(req, { encoding, maxBytes: 5000 });
      socket.write(inChunks(encoding === "gzip" ? gzipSync(bytes) : bytes, 999));
      socket.write(LAST);
      if (length > 5000) {
        expect(() => checkDeclaredLength(declared.req, 5000)).toThrow(Problem);
        await expect(reading).rejects.toMatchObject({ status: 413 });
      } else {
        checkDeclaredLength(declared.req, 5000);
        expect(Buffer.concat(await reading)).toEqual(bytes);
      }
    }
  },
);

test("past the room it is a 503, as sent or inflated", async () => {
  const zeros = Buffer.alloc(300_000);
  for (const encoding of ["identity", "gzip"] as const) {
    const { req, socket } = await receive(CHUNKED);
    const reading = readAll(req, { encoding, room: new Room(230_000) });
    socket.write(inChunks(encoding === "gzip" ? gzipSync(zeros) : zeros, 1000));
    socket.write(LAST);
    await expect(reading).rejects.toMatchObject({ status: 503 });
  }
});

test("it is a 408 at its deadline, also while its reader waits; but not if it has come whole", async () => {
  const deadlineAtMs = performance.now() + 50;
  const { req, socket } = await receive("content-length: 9");
  const reading = readTo(() => new Promise(() => {}), req, { deadlineAtMs });
  socket.write("x");
  await expect(reading).rejects.toMatchObject({ status: 408 });

  const whole = await receive("content-length: 1");
  let goOn = () => {};
  const consume = () =>
    new Promise<void>((resolve) => {
      goOn = resolve;
    });
  const late = performance.now() + 200;
  const slow = readTo(consume, whole.req, { deadlineAtMs: late });
  whole.socket.write("x");
  await comes(() => performance.now() > late + 50);
  goOn();
  await slow;
});

test("it is none either if it has come whole and large, though the request is paused", async () => {
  const bytes = 50_000;
  const { req, socket } = await receive(`content-length: ${bytes}`);
  let goOn = () => {};
  const waiting = new Promise<void>((resolve) => {
    goOn = resolve;
  });
  const late = performance.now() + 100;
  let consumed = 0;
  const consume = (piece: Buffer) => {
    consumed += piece.length;
    return waiting;
  };
  const reading = readTo(consume, req, { deadlineAtMs: late });
  socket.write(Buffer.alloc(bytes, "x"));
  await comes(() => req.isPaused() && req.complete && performance.now() > late + 50);
  goOn();
  await reading;
  expect(consumed).toBe(bytes);
});

test("it leaves no timer", async () => {
  const timers = () => process.getActiveResourcesInfo().filter((name) => name === "Timeout").length;
  const { req, socket } = await receive("content-length: 9");
  const before = timers();
  const reading = readTo(() => {
    throw new RangeError("own");
  }, req);
  expect(timers()).toBe(before + 1);
  socket.write("x");
  await expect(reading).rejects.toThrow(RangeError);
  expect(timers()).toBe(before);
});

describe("gzip", () => {
  const text = Buffer.from("one two three");
  const sent = gzipSync(text);
  const read = async (bytes: Buffer) => {
    const { req, socket } = await receive(CHUNKED);
    const reading = readAll(req, { encoding: "gzip" });
    socket.write(inChunks(bytes, 5));
    socket.write(LAST);
    return Buffer.concat(await reading).toString();
  };

  test("in members is one body", async () => {
    const members = Buffer.concat([gzipSync("one "), gzipSync(""), gzipSync("two "), gzipSync("three")]);
    expect(await read(members)).toBe("one two three");
  });

  test("with zeros after it is read, as gzip pads", async () => {
    expect(await read(Buffer.concat([sent, Buffer.alloc(200_000)]))).toBe("one two three");
  });

  test.each([
    ["that breaks off", sent.subarray(0, -3)],
    ["of nothing", Buffer.alloc(0)],
    ["with another text after it", Buffer.concat([sent, Buffer.from("x")])],
    ["that is none", text],
    ["whose checksum is wrong", Buffer.concat([sent.subarray(0, -8), Buffer.alloc(8, 1)])],
  ])("%s is a 400", async (_, bytes) => {
    await expect(read(bytes)).rejects.toMatchObject({ status: 400, message: "expected a gzip stream" });
  });
});

async function comes(condition: () => boolean): Promise<void> {
  await expect.poll(condition).toBe(true);
}
