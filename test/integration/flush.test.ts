/** The eager flush against local fakes of the supervisor, Cloud Tasks' REST interface and the metadata server. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { metadataToken } from "../../lib/cloud-run/metadata-token.ts";
import { httpFlush, noFlush, TASK_TIMEOUT_MS, tasksFlush } from "../../lib/ingest/eager-flush.ts";
import type { Log } from "../../lib/log.ts";

interface Seen {
  method: string | undefined;
  url: string | undefined;
  headers: IncomingMessage["headers"];
  body: string;
}

const P = { stream: "events", index: 3 };
const QUEUE = "projects/p/locations/europe-west1/queues/spillway-flush";
/** What was said in this test; a flush that nobody waits for may end in the next one. */
let said: string[];
let log: Log;
let seen: Seen[];
/** What the fake answers; undefined: nothing, ever. */
let answer: ((res: ServerResponse) => void) | undefined;
let url: string;
let close: () => Promise<void>;

beforeEach(async () => {
  const lines: string[] = [];
  const say = (event: string) => void lines.push(event);
  said = lines;
  log = { debug: say, info: say, warn: say, error: say };
  seen = [];
  answer = (res) => res.end("{}");
  const server = createServer((req, res) => {
    let body = "";
    req.on("data", (chunk) => (body += String(chunk)));
    req.on("end", () => {
      seen.push({ method: req.method, url: req.url, headers: req.headers, body });
      answer?.(res);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  close = () =>
    new Promise((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
});
afterEach(() => close());

const tasks = (accessToken = async () => "token") =>
  tasksFlush({
    supervisorUrl: "https://supervisor.example",
    queue: QUEUE,
    accessToken,
    log,
    endpoint: url,
  });

describe("FLUSH_TRIGGER=tasks", () => {
  test("a flush is one task that calls POST /drain/{stream}?partition=P", async () => {
    await tasks()(P);
    expect(seen).toHaveLength(1);
    expect(seen[0]).toMatchObject({ method: "POST", url: `/v2/${QUEUE}/tasks` });
    expect(seen[0]?.headers.authorization).toBe("Bearer token");
    // google.cloud.tasks.v2.CreateTaskRequest: {task: Task{httpRequest: HttpRequest{url, httpMethod}}}; the OIDC
    // token is the queue's (Queue.httpTarget), so the task names no service account.
    expect(JSON.parse(seen[0]?.body ?? "")).toEqual({
      task: {
        httpRequest: { httpMethod: "POST", url: "https://supervisor.example/drain/events?partition=3" },
      },
    });
  });

  test("the request that crossed waits no longer than its bound, and never fails for it", async () => {
    answer = undefined;
    const startedAt = performance.now();
    await tasks()(P);
    expect(performance.now() - startedAt).toBeLessThan(TASK_TIMEOUT_MS + 5000); // it ended by itself
    expect(said).toEqual(["flush.failed"]);
  });

  test.each([
    ["refuses", (res: ServerResponse) => res.writeHead(503).end("{}")],
    ["cuts the connection", (res: ServerResponse) => res.destroy()],
  ])("a queue that %s costs only the eagerness", async (_what, how) => {
    answer = how;
    await tasks()(P);
    expect(said).toEqual(["flush.failed"]);
  });

  test("a token that can't be had is the same", async () => {
    await tasks(async () => Promise.reject(new Error("no metadata server")))(P);
    expect(seen).toEqual([]);
    expect(said).toEqual(["flush.failed"]);
  });

  test("one flush of a partition is under way at a time; another partition's is not held up", async () => {
    const answers: ServerResponse[] = [];
    let arrived = () => {};
    const both = new Promise<void>((resolve) => {
      arrived = resolve;
    });
    answer = (res) => {
      if (answers.push(res) === 2) arrived();
    };
    const flush = tasks();
    const flushes = [flush(P), flush(P), flush(P), flush({ ...P, index: 4 })];
    await both;
    for (const res of answers) res.end("{}");
    await Promise.all(flushes);
    expect(seen).toHaveLength(2);
    answer = (res) => res.end("{}");
    await flush(P); // and when it has ended, the next is sent
    expect(seen).toHaveLength(3);
  });
});

test("FLUSH_TRIGGER=http: sent and not awaited; a supervisor that is away is said and costs nothing", async () => {
  answer = undefined; // it drains and drains
  await httpFlush(url, log)(P); // resolves all the same
  await expect
    .poll(() => seen.map((one) => `${one.method} ${one.url}`))
    .toEqual(["POST /drain/events?partition=3"]);
  await httpFlush("http://127.0.0.1:1", log)(P);
  await expect.poll(() => said).toContain("flush.failed");
});

test("FLUSH_TRIGGER=http shows the supervisor its token, and says if that is not right", async () => {
  await httpFlush(url, log)(P);
  await httpFlush(url, log, "the-token")({ ...P, index: 4 });
  await expect.poll(() => seen).toHaveLength(2);
  const byPath = new Map(seen.map((one) => [one.url, one.headers.authorization]));
  expect([byPath.get("/drain/events?partition=3"), byPath.get("/drain/events?partition=4")]).toEqual([
    ...[undefined, "Bearer the-token"],
  ]);
  expect(said).toEqual([]);
  answer = (res) => void res.writeHead(401).end("{}");
  await httpFlush(url, log, "another")(P);
  await expect.poll(() => said).toEqual(["flush.failed"]);
});

test("FLUSH_TRIGGER=off sends nothing", async () => {
  await noFlush(P);
  expect(seen).toEqual([]);
});

describe("access tokens from the metadata server", () => {
  test("are asked for with Google's header and kept until a minute before they expire", async () => {
    let nowMs = 0;
    answer = (res) => res.end(JSON.stringify({ access_token: `t${seen.length}`, expires_in: 3600 }));
    const token = metadataToken(() => nowMs, url);
    expect([await token(), await token()]).toEqual(["t1", "t1"]);
    expect(seen[0]?.headers["metadata-flavor"]).toBe("Google");
    nowMs = 3_540_000;
    expect(await token()).toBe("t2");
  });

  test("a server that has none is an error, not an empty token", async () => {
    answer = (res) => res.writeHead(404).end();
    await expect(metadataToken(() => performance.now(), url)()).rejects.toThrow("404");
  });
});
