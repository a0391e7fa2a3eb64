/** The ticker, with a clock of the test's own and a server whose answers the test gives. */
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from "vitest";
import { startTicker, type Ticker } from "../../functions/ticker.ts";

const EVERY_MS = 60_000;

let ticker: Ticker;
let failures: string[];
let asked: number;
/** What the server was asked and has not answered. */
let waiting: { req: IncomingMessage; res: ServerResponse }[];
const server = createServer((req, res) => {
  asked += 1;
  waiting.push({ req, res });
});
beforeAll(async () => {
  await once(server.listen(0, "127.0.0.1"), "listening");
});
beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
  asked = 0;
  waiting = [];
  failures = [];
  const { port } = server.address() as AddressInfo;
  ticker = startTicker({
    ...{ supervisorUrl: `http://127.0.0.1:${port}`, everyMs: EVERY_MS, token: "the-token" },
    onFailure: (reason) => failures.push(reason),
  });
});
afterEach(() => {
  ticker.stop();
  vi.useRealTimers();
  server.closeAllConnections();
});
afterAll(() => server.close());

/** Lets intervals pass until the server is asked: the answer before may be on its way to the ticker. */
async function nextTick() {
  await vi.waitFor(() => {
    vi.advanceTimersByTime(EVERY_MS);
    expect(waiting).toHaveLength(1);
  });
  return waiting.pop() as (typeof waiting)[number];
}

test("each interval is a POST /drain with the token, and the first comes after one", async () => {
  vi.advanceTimersByTime(EVERY_MS - 1);
  expect(asked).toBe(0);
  expect(vi.getTimerCount()).toBe(1);
  for (let ticks = 0; ticks < 2; ticks++) {
    const { req, res } = await nextTick();
    expect([req.method, req.url, req.headers.authorization]).toEqual(["POST", "/drain", "Bearer the-token"]);
    await end(res, 200);
  }
  expect(failures).toEqual([]);
});

test("no tick begins while one is under way, however late its answer comes", async () => {
  const { res } = await nextTick();
  vi.advanceTimersByTime(5 * EVERY_MS);
  await end(res, 200);
  await end((await nextTick()).res, 200);
  expect([asked, waiting]).toEqual([2, []]);
});

test("after a tick that failed, in whatever way, the next one comes; a 503 is no failure", async () => {
  await end((await nextTick()).res, 503);
  await end((await nextTick()).res, 401);
  const { res } = await nextTick();
  res.destroy();
  await vi.waitFor(() => expect(failures).toHaveLength(2));
  await end((await nextTick()).res, 200);
  expect(failures).toEqual([
    "POST /drain answered 401",
    "POST /drain failed: the supervisor can't be reached, or broke off",
  ]);
});

test("when it is stopped no tick follows, the one under way is not broken off, and its failure is not told", async () => {
  const { req, res } = await nextTick();
  ticker.stop();
  vi.advanceTimersByTime(3 * EVERY_MS);
  expect(req.destroyed && !req.complete).toBe(false);
  await end(res, 500);
  expect([waiting, failures]).toEqual([[], []]);
});

/** Answers, and resolves when the ticker has closed its connection. */
async function end(res: ServerResponse, status: number): Promise<void> {
  res.writeHead(status, { "content-length": 0, connection: "close" }).end();
  await once(res.req.socket, "close");
}
