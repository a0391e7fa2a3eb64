/** A body as it comes: in pieces of any size, while its reader waits, broken or too slow. */
import { once } from "node:events";
import { createServer, type IncomingMessage } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";
import { gzipSync } from "node:zlib";
import { afterEach, describe, expect, test } from "vitest";
import { type Encoding, readBody } from "../../functions/body.ts";
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

type Consume = Parameters<typeof readBody>[1]["consume"];

function reading(
  req: IncomingMessage,
  consume: Consume,
  {
    encoding = "identity",
    maxBytes = 1_000_000,
    room = new Room(10_000_000),
    deadlineAtMs = performance.now() + 60_000,
  }: Given = {},
) {
  return readBody(req, { encoding, maxBytes, deadlineAtMs, share: room.share(), consume });
}

/** Reads to the end. Returns the bytes of each piece. */
async function readAll(req: IncomingMessage, given?: Given): Promise<Buffer[]> {
  const pieces: Buffer[] = [];
  await reading(req, (piece) => void pieces.push(Buffer.from(piece)), given);
  return pieces;
}

describe.each([1, 7, 1000, 100_000])("chunks of %i bytes", (size) => {
  const bytes = Buffer.from(Array.from({ length: 90_000 }, (_, i) => i % 251));

  test.each(["identity", "gzip"] as const)("come through, %s", async (encoding) => {
    const { req, socket } = await receive(CHUNKED);
    socket.write(inChunks(encoding === "gzip" ? gzipSync(bytes, { level: 0 }) : bytes, size));
    socket.write(LAST);
    expect(Buffer.concat(await readAll(req, { encoding })).equals(bytes)).toBe(true);
  });

  test("that come while the reader waits are not kept one by one, nor by Node", async () => {
    const { req, socket } = await receive(CHUNKED);
    let received = 0;
    const pieces: Buffer[] = [];
    const whole = reading(req, (piece) => {
      pieces.push(Buffer.from(piece));
      return pieces.length === 1 ? comes(() => received === 90_001) : undefined;
    });
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
    await whole;
    const bytes = Buffer.concat(pieces);
    expect(bytes.length).toBe(90_001);
    expect(bytes.filter((byte) => byte === 0).length).toBeLessThanOrEqual(size + 1); // one alone is not copied
    expect(Math.max(...pieces.map(({ length }) => length))).toBeLessThanOrEqual(65_536);
  });
});

test.each(["identity", "gzip"] as const)(
  "a body in more than 100,000 pieces is a 413, %s",
  async (encoding) => {
    const { req, socket } = await receive(CHUNKED);
    const text = Buffer.alloc(100_001, " ");
    socket.write(inChunks(encoding === "gzip" ? gzipSync(text, { level: 0 }).subarray(0, 100_001) : text, 1));
    socket.write(LAST);
    await expect(readAll(req, { encoding })).rejects.toMatchObject({
      status: 413,
      message: expect.stringContaining("100000"),
    });
  },
);

describe("a body that fails", () => {
  const head = "content-length: 1000";
  test("is a 400 if it breaks off, also while its reader waits", async () => {
    for (const waits of [true, false]) {
      const { req, socket } = await receive(head);
      let came = false;
      const broken = reading(req, () => {
        came = true;
        return waits ? new Promise(() => {}) : undefined;
      });
      socket.write("x");
      socket.once("close", () => {});
      const checking = expect(broken).rejects.toMatchObject({ status: 400 });
      await comes(() => came);
      socket.destroy();
      await checking;
    }
  });

  test("is a 408 at its deadline, also while its reader waits for its turn", async () => {
    const { req, socket } = await receive(head);
    socket.write("x");
    const late = reading(req, () => new Promise(() => {}), { deadlineAtMs: performance.now() + 50 });
    await expect(late).rejects.toMatchObject({ status: 408 });
  });

  test("is none at its deadline if it had come whole", async () => {
    const { req, socket } = await receive("content-length: 1");
    let release = () => {};
    const waiting = new Promise<void>((resolve) => {
      release = resolve;
    });
    const deadlineAtMs = performance.now() + 100;
    const whole = reading(req, () => waiting, { deadlineAtMs });
    socket.write("x");
    await comes(() => req.complete && performance.now() > deadlineAtMs + 50);
    release();
    await whole;
  });

  test.each(["identity", "gzip"] as const)("has the error of its reader, %s", async (encoding) => {
    for (const isLate of [true, false]) {
      const { req, socket } = await receive(CHUNKED);
      socket.write(inChunks(encoding === "gzip" ? gzipSync("x") : Buffer.from("x"), 100));
      socket.write(LAST);
      const fail = () => {
        if (isLate) return Promise.reject(new RangeError("own"));
        throw new RangeError("own");
      };
      await expect(reading(req, fail, { encoding })).rejects.toThrow(RangeError);
    }
  });

  test("is a 413 past its limit, sent or inflated, and a 503 past the room", async () => {
    const zeros = Buffer.alloc(300_000);
    const cases = [
      [zeros, { maxBytes: 299_999 }, 413],
      [gzipSync(zeros), { maxBytes: 299_999, encoding: "gzip" as const }, 413],
      [zeros, { room: new Room(230_000) }, 503],
      [gzipSync(zeros), { room: new Room(230_000), encoding: "gzip" as const }, 503],
    ] as const;
    for (const [bytes, given, status] of cases) {
      const { req, socket } = await receive(CHUNKED);
      socket.write(inChunks(bytes, 1000));
      socket.write(LAST);
      await expect(readAll(req, given)).rejects.toMatchObject({ status });
    }
  });
});

describe("gzip", () => {
  const text = Buffer.from("one two three");
  const sent = gzipSync(text);
  const read = async (bytes: Buffer) => {
    const { req, socket } = await receive(CHUNKED);
    socket.write(inChunks(bytes, 5));
    socket.write(LAST);
    return Buffer.concat(await readAll(req, { encoding: "gzip" })).toString();
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
