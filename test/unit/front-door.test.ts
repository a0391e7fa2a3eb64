/** The front door on plain sockets: whatever follows a request on its connection, the request gets its answer, in order. */
import { once } from "node:events";
import { createServer, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import { readBody } from "../../functions/body.ts";
import { Cors } from "../../functions/cors.ts";
import { openDoor, type Served } from "../../functions/front-door.ts";
import type { Handler } from "../../functions/request-url.ts";
import { Room } from "../../lib/flow/room.ts";
import type { Log } from "../../lib/log.ts";
import { openRawClient, type RawAnswer, type RawClient } from "../raw-client.ts";

const opened: { server: Server; client: RawClient }[] = [];
afterEach(() => {
  for (const { server, client } of opened.splice(0)) {
    client.destroy();
    server.close();
    server.closeAllConnections();
  }
});

interface Timeouts {
  requestTimeout?: number;
  headersTimeout?: number;
}

/** Opens a door on a handler, and a connection to it. Node looks at its timeouts every 20 ms. */
async function open(handler: Handler, timeouts: Timeouts = {}, cors?: Cors) {
  const say = () => {};
  const log: Log = { debug: say, info: say, warn: say, error: say };
  const served: Served = {
    ...{ handler, log, traceOf: () => ({}), onStopping: say, onStopped: say },
    ...(cors ? { cors } : {}),
  };
  const { server } = openDoor(served, (options, listener) =>
    createServer({ ...options, connectionsCheckingInterval: 20 }, listener),
  );
  Object.assign(server, timeouts);
  const seenEnd = new Promise<void>((resolve) => {
    server.once("connection", (socket) => socket.once("end", resolve));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const client = openRawClient((server.address() as AddressInfo).port);
  opened.push({ server, client });
  return { client, server, seenEnd };
}

/** Reads a body as the front door's handlers do. */
async function bodyOf(req: IncomingMessage): Promise<Buffer> {
  const pieces: Buffer[] = [];
  const consume = (piece: Buffer) => void pieces.push(piece);
  const share = new Room(1000).share();
  const deadlineAtMs = performance.now() + 60_000;
  await readBody(req, { encoding: "identity", maxBytes: 1000, deadlineAtMs, share, consume });
  return Buffer.concat(pieces);
}

/** A handler that answers 202 with the path once the test says so; `arrived` resolves when so many are at work. */
function slowHandler() {
  const finish: (() => void)[] = [];
  const waiting: { count: number; resolve: () => void }[] = [];
  const handler: Handler = async (req, res) => {
    await bodyOf(req);
    await new Promise<void>((resolve) => {
      finish.push(resolve);
      for (const one of waiting) if (finish.length >= one.count) one.resolve();
    });
    res.writeHead(202, { "content-length": (req.url ?? "").length }).end(req.url);
  };
  const arrived = (count: number) =>
    new Promise<void>((resolve) => {
      waiting.push({ count, resolve });
      if (finish.length >= count) resolve();
    });
  return { handler, arrived, finish: (i: number) => finish[i]?.() };
}

/** A handler that reads the body and answers 202. */
const reading: Handler = async (req, res) => {
  const body = await bodyOf(req);
  res.writeHead(202, { "content-length": body.length }).end(body);
};

const post = (path: string, body = "{}") =>
  `POST ${path} HTTP/1.1\r\nhost: x\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
const CHUNKED = "POST /chunked HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n";

const statusesOf = (answers: readonly RawAnswer[]) => answers.map(({ status }) => status);

/** The last answer is a problem of this status, and says that the connection closes. */
function expectProblem(answers: readonly RawAnswer[], status: number): void {
  const last = answers.at(-1);
  expect(last?.status).toBe(status);
  expect(last?.headers.get("content-type")).toBe("application/problem+json");
  expect(last?.headers.get("connection")).toBe("close");
  expect(JSON.parse(last?.body ?? "")).toMatchObject({ status, code: expect.stringMatching(/^[a-z-]+$/) });
}

const GARBAGE: [kind: string, bytes: string, status: number][] = [
  ["bytes that are no HTTP", "\x16\x03\x01 what is this\r\n\r\n", 400],
  ["a header line that is none", "GET / HTTP/1.1\r\nhost: x\r\nbad header\r\n\r\n", 400],
  ["headers over the limit", `GET / HTTP/1.1\r\nhost: x\r\nlong: ${"x".repeat(20_000)}\r\n\r\n`, 431],
  ["two lengths", "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab", 400],
  [
    "length and chunks",
    "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    400,
  ],
  ["the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400],
  ["a request without Host", "GET / HTTP/1.1\r\n\r\n", 400],
  ["CONNECT", "CONNECT example.com:443 HTTP/1.1\r\nhost: example.com\r\n\r\n", 405],
];

describe("garbage on a connection", () => {
  test.each(GARBAGE)(
    "%s is answered as a problem, and the connection closes",
    async (_kind, bytes, status) => {
      const { client } = await open(reading);
      client.send(bytes);
      const answers = await client.answers();
      expect(statusesOf(answers)).toEqual([status]);
      expectProblem(answers, status);
    },
  );

  test.each(GARBAGE)(
    "%s after a request at work: the request is answered, then the garbage",
    async (_kind, bytes, status) => {
      const { handler, arrived, finish } = slowHandler();
      const { client } = await open(handler);
      client.send(post("/first") + bytes);
      await arrived(1);
      client.send("and more of it\r\n\r\n");
      finish(0);
      const answers = await client.answers();
      expect(statusesOf(answers)).toEqual([202, status]);
      expectProblem(answers, status);
    },
  );

  test.each(GARBAGE)(
    "%s after a request at work, and then the client's end: both are answered",
    async (_kind, bytes, status) => {
      const { handler, arrived, finish } = slowHandler();
      const { client, seenEnd } = await open(handler);
      client.send(post("/first") + bytes);
      client.end();
      await Promise.all([arrived(1), seenEnd]);
      finish(0);
      const answers = await client.answers();
      expect(statusesOf(answers)).toEqual([202, status]);
      expectProblem(answers, status);
    },
  );

  test("after three requests that end in another order: each is answered in its place", async () => {
    const { handler, arrived, finish } = slowHandler();
    const { client } = await open(handler);
    client.send(`${post("/1")}${post("/2")}${post("/3")}garbage\r\n\r\n`);
    await arrived(3);
    for (const i of [1, 0, 2]) finish(i);
    const answers = await client.answers();
    expect(statusesOf(answers)).toEqual([202, 202, 202, 400]);
    expect(answers.slice(0, 3).map(({ body }) => body)).toEqual(["/1", "/2", "/3"]);
  });

  test("that comes when the first of two requests has been answered waits for the second", async () => {
    const { handler, arrived, finish } = slowHandler();
    const { client } = await open(handler);
    client.send(`${post("/1")}${post("/2")}`);
    await arrived(2);
    finish(0);
    expect(statusesOf(await client.firstAnswers(1))).toEqual([202]);
    client.send("garbage\r\n\r\n");
    client.send("garbage again\r\n\r\n");
    finish(1);
    expect(statusesOf(await client.answers())).toEqual([202, 202, 400]);
  });

  test("that goes on for ever does not keep the connection open", async () => {
    const { client } = await open(reading);
    const sending = setInterval(() => client.send("garbage\r\n\r\n"), 5);
    expect(statusesOf(await client.answers())).toEqual([400]);
    clearInterval(sending);
  });

  test("a body longer than it was declared is garbage after its request", async () => {
    const { client } = await open(reading);
    client.send(`${post("/long", "{}")}surplus\r\n\r\n`);
    expect(statusesOf(await client.answers())).toEqual([202, 400]);
  });

  test("half a request head, and then the end, is a 400", async () => {
    const { client } = await open(reading);
    client.send("POST /half HTTP/1.1\r\nhost:");
    client.end();
    expectProblem(await client.answers(), 400);
  });
});

describe("a body that breaks while its handler reads it", () => {
  test("a malformed chunk is a 400", async () => {
    const { client } = await open(reading);
    client.send(`${CHUNKED}2\r\n{}\r\nno length\r\n`);
    const answers = await client.answers();
    expect(statusesOf(answers)).toEqual([400]);
    expectProblem(answers, 400);
  });

  test("a malformed chunk, when the handler begins to read only later, is a 400", async () => {
    const { handler, arrived, finish } = slowHandler();
    let begin = () => {};
    const started = new Promise<void>((resolve) => {
      begin = resolve;
    });
    let isFirst = true;
    const { client } = await open(async (req, res) => {
      if (isFirst) {
        isFirst = false;
        return handler(req, res);
      }
      await started;
      await reading(req, res);
    });
    client.send(`${post("/1")}${CHUNKED}no length\r\n`);
    await arrived(1);
    client.send("more\r\n");
    begin();
    finish(0);
    expect(statusesOf(await client.answers())).toEqual([202, 400]);
  });

  test.each([
    ["", ""],
    ["of a request that asks for an upgrade", "connection: upgrade\r\nupgrade: websocket\r\n"],
    [
      "in chunks, of a request that asks for an upgrade",
      "connection: upgrade\r\nupgrade: h2c\r\ntransfer-encoding: chunked\r\n",
    ],
  ])("a body shorter than declared, and then the end, is a 400 %s", async (_, headers) => {
    const { client } = await open(reading);
    const length = headers.includes("chunked") ? "" : "content-length: 10\r\n";
    const body = headers.includes("chunked") ? "a\r\n{}" : "{}";
    client.send(`POST /short HTTP/1.1\r\nhost: x\r\n${headers}${length}\r\n${body}`);
    client.end();
    expectProblem(await client.answers(), 400);
  });

  test("a body that never comes is a 408", async () => {
    const { client } = await open(reading, { requestTimeout: 100, headersTimeout: 100 });
    client.send("POST /never HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n");
    const answers = await client.answers();
    expect(statusesOf(answers)).toEqual([408]);
    expectProblem(answers, 408);
  });

  test("a request head that never ends is a 408 after the answer to the request before it, and what follows is not answered", async () => {
    const { handler, arrived, finish } = slowHandler();
    const { client, server } = await open(handler, { requestTimeout: 100, headersTimeout: 100 });
    client.send(`${post("/1")}POST /never HTTP/1.1\r\n`);
    await arrived(1);
    await once(server, "clientError");
    client.send("garbage\r\n\r\n");
    await once(server, "clientError");
    finish(0);
    expect(statusesOf(await client.answers())).toEqual([202, 408]);
  });

  test("a request that is completed after its time reaches no handler", async () => {
    const { handler, arrived, finish } = slowHandler();
    const paths: (string | undefined)[] = [];
    const noting: Handler = (req, res) => {
      paths.push(req.url);
      return handler(req, res);
    };
    const { client, server } = await open(noting, { requestTimeout: 100, headersTimeout: 100 });
    const late = post("/late");
    client.send(post("/1") + late.slice(0, 10));
    await Promise.all([arrived(1), once(server, "clientError")]);
    client.send(`${late.slice(10)}garbage\r\n\r\n`);
    await once(server, "clientError");
    finish(0);
    expect(statusesOf(await client.answers())).toEqual([202, 408]);
    expect(paths).toEqual(["/1"]);
  });

  test("a handler that answered without reading gets no second answer", async () => {
    const { client } = await open(async (_req, res) => {
      res.writeHead(200, { "content-length": 0 }).end();
    });
    client.send(CHUNKED);
    await client.firstAnswers(1);
    client.send("no length\r\n");
    expect(statusesOf(await client.answers())).toEqual([200]);
  });
});

describe("a sender that is just different", () => {
  test("ends its side after whole requests: each is answered", async () => {
    const { handler, arrived, finish } = slowHandler();
    const { client, seenEnd } = await open(handler);
    client.send(post("/1") + post("/2"));
    client.end();
    await Promise.all([arrived(2), seenEnd]);
    finish(0);
    finish(1);
    expect(statusesOf(await client.answers())).toEqual([202, 202]);
  });

  test("expects something other than 100-continue: 417, after the requests before it", async () => {
    const { handler, arrived, finish } = slowHandler();
    const { client } = await open(handler);
    client.send(`${post("/1")}POST /2 HTTP/1.1\r\nhost: x\r\nexpect: tea\r\ncontent-length: 2\r\n\r\n`);
    await arrived(1);
    finish(0);
    const answers = await client.answers();
    expect(statusesOf(answers)).toEqual([202, 417]);
    expectProblem(answers, 417);
  });

  test("does not wait for the 417, sends another request and then garbage: the connection closes", async () => {
    const { handler, arrived, finish } = slowHandler();
    const { client } = await open(handler);
    const unexpected = post("/2").replace("host: x", "host: x\r\nexpect: tea");
    client.send(`${post("/1")}${unexpected}${post("/3")}garbage\r\n\r\n`);
    await arrived(2);
    finish(0);
    expect(statusesOf(await client.answers())).toEqual([202, 417]);
  });

  test("expects 100-continue, and is answered", async () => {
    const { client } = await open(reading);
    client.send(
      "POST / HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}",
    );
    expect(statusesOf(await client.answers())).toEqual([202]);
  });

  test.each([
    "upgrade: h2c\r\nconnection: upgrade, http2-settings",
    "Upgrade: websocket\r\nConnection: Upgrade",
  ])("asks for an upgrade: it is answered, and told that nothing is after that (%j)", async (headers) => {
    const { client } = await open(reading);
    client.send(post("/1") + post("/2").replace("host: x", `host: x\r\n${headers}`) + post("/3"));
    const answers = await client.answers();
    expect(answers.map(({ status, headers }) => [status, headers.get("connection")])).toEqual([
      [202, "keep-alive"],
      [202, "close"],
    ]);
  });

  test("says Connection: close, and sends more: it is answered, and nothing else is", async () => {
    const { client } = await open(reading);
    client.send(post("/1") + post("/2").replace("host: x", "host: x\r\nconnection: close") + post("/3"));
    expect(statusesOf(await client.answers())).toEqual([202, 202]);
  });

  test("speaks HTTP/1.0, without Host: it is answered, and the connection closes", async () => {
    const { client } = await open(reading);
    client.send("POST /old HTTP/1.0\r\ncontent-length: 2\r\n\r\n{}");
    expect(statusesOf(await client.answers())).toEqual([202]);
  });
});

describe("a page may read what the door itself refuses", () => {
  const ORIGIN = "https://page.example";
  const timeouts = { requestTimeout: 100, headersTimeout: 100 };
  const fromPage = (rest: string) => `POST / HTTP/1.1\r\nhost: x\r\norigin: ${ORIGIN}\r\n${rest}`;

  test.each<[what: string, bytes: string, status: number, allowed: string]>([
    ...GARBAGE.filter(([what]) => what !== "a request without Host").map(
      ([what, bytes, status]): [string, string, number, string] => [what, bytes, status, "*"],
    ),
    ["an expectation", fromPage("expect: tea\r\ncontent-length: 2\r\n\r\n"), 417, ORIGIN],
    ["no Host", `POST / HTTP/1.1\r\norigin: ${ORIGIN}\r\ncontent-length: 0\r\n\r\n`, 400, ORIGIN],
    ["a bad chunk", fromPage("transfer-encoding: chunked\r\n\r\n2\r\n{}\r\nno length\r\n"), 400, ORIGIN],
    ["a body that never comes", fromPage("content-length: 10\r\n\r\n"), 408, ORIGIN],
    ["a head that never ends", "POST / HTTP/1.1\r\n", 408, "*"],
    ["long headers", fromPage(`long: ${"x".repeat(20_000)}\r\n\r\n`), 431, "*"],
  ])("%s", async (_what, bytes, status, allowed) => {
    const { client } = await open(reading, timeouts, new Cors([]));
    client.send(bytes);
    const [answer] = await client.answers();
    expect([answer?.status, answer?.headers.get("access-control-allow-origin")]).toEqual([status, allowed]);
  });

  test("an error of the handler, and nothing of a function that no page may call", async () => {
    const failing: Handler = async () => {
      throw new Error("a bug");
    };
    for (const [cors, allowed] of [
      [new Cors([]), ORIGIN],
      [undefined, undefined],
    ] as const) {
      const { client } = await open(failing, {}, cors);
      client.send(`${fromPage("content-length: 0\r\nconnection: close\r\n\r\n")}`);
      const [answer] = await client.answers();
      expect([answer?.status, answer?.headers.get("access-control-allow-origin")]).toEqual([500, allowed]);
    }
  });

  test("a preflight is answered before the handler; without CORS, the handler has it", async () => {
    const preflight = `OPTIONS /%zz HTTP/1.1\r\nhost: x\r\norigin: ${ORIGIN}\r\naccess-control-request-method: POST\r\nconnection: close\r\n\r\n`;
    const statuses: (number | undefined)[] = [];
    for (const cors of [new Cors([]), undefined]) {
      const { client } = await open(reading, {}, cors);
      client.send(preflight);
      statuses.push((await client.answers())[0]?.status);
    }
    expect(statuses).toEqual([204, 202]);
  });
});
