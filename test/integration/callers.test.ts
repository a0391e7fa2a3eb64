/** Who may do what at the supervisor, over HTTP: the scheduler's and the queue's identities drain, and do nothing else. */
import { request } from "node:http";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type FunctionProcess, startFunction } from "../../dev/stack/function-process.ts";
import { findFreePorts } from "../../dev/stack/ports.ts";
import { testStreams } from "../streams/run/test-streams.ts";
import { serverSettings } from "../worker-servers.ts";
import { expectConserved, openWorld, pushEvents, type World } from "./test-stack.ts";

/** A token as Cloud Run hands it on. */
const tokenOf = (email: string) => {
  const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
  return `Bearer ${part({ alg: "RS256" })}.${part({ email, email_verified: true })}.SIGNATURE_REMOVED_BY_GOOGLE`;
};
const SCHEDULER = tokenOf("scheduler@p.iam.gserviceaccount.com");
const OPERATOR = tokenOf("operator@p.iam.gserviceaccount.com");

let world: World;
/** The supervisor as Cloud Run runs it: K_SERVICE is set, and Terraform has set DRAIN_CALLERS. */
let supervisor: FunctionProcess;
/** The same outside Cloud Run. */
let local: FunctionProcess;
beforeAll(async () => {
  world = await openWorld();
  const env = {
    ...{ PATH: process.env.PATH, ...serverSettings() },
    DRAIN_CALLERS: "Scheduler@p.iam.gserviceaccount.com, tasks@p.iam.gserviceaccount.com",
  };
  const [one = 0, two = 0] = await findFreePorts(2);
  const { source } = testStreams;
  supervisor = await startFunction({
    target: "supervisor",
    port: one,
    source,
    env: { ...env, K_SERVICE: "x" },
  });
  local = await startFunction({ target: "supervisor", port: two, source, env });
});
beforeEach(() => world.reset());
afterAll(async () => {
  await Promise.all([supervisor?.stop(), local?.stop()]);
  await world.close();
});

interface Asked {
  method?: string;
  headers?: Record<string, string | string[]>;
  body?: string;
}

/** Asks with the path exactly as it is given. */
function ask(port: number, path: string, { method = "POST", headers = {}, body }: Asked = {}) {
  return new Promise<{ status: number; code?: string }>((resolve, reject) => {
    const sent = request({ port, path, method, headers, host: "127.0.0.1", agent: false }, (res) => {
      let text = "";
      res.setEncoding("utf8").on("data", (piece: string) => {
        text += piece;
      });
      res.on("end", () => {
        const { code } = (text === "" ? {} : JSON.parse(text)) as { code?: string };
        resolve({ status: res.statusCode ?? 0, ...(code === undefined ? {} : { code }) });
      });
    });
    sent.on("error", reject).end(body);
  });
}

const NOT_ALLOWED = { status: 403, code: "caller-not-allowed" };
const asScheduler = { headers: { authorization: SCHEDULER } };

test("the scheduler drains all streams, or one, and its event is stored once", async () => {
  const ids = await pushEvents(world, { stream: "events", index: 3 }, [{ type: "t", payload: {} }]);
  expect(await ask(supervisor.port, "/drain/events?partition=3", asScheduler)).toEqual({ status: 200 });
  expect(await ask(supervisor.port, "/drain", asScheduler)).toEqual({ status: 200 });
  await expectConserved(world, "events", ids);
});

describe("the scheduler gets 403", () => {
  test.each([
    ["GET", "/status"],
    ["HEAD", "/status"],
    ["GET", "/live"],
    ["GET", "/dead-letters"],
    ["GET", "/dead-letters/0197b2c0-0000-7000-8000-000000000000"],
    ["POST", "/dead-letters/redrive"],
    ["POST", "/dead-letters/purge"],
    ["GET", "/keys"],
    ["POST", "/keys"],
    ["POST", "/streams/events/pause"],
    ["POST", "/streams/events/resume"],
    ["GET", "/drain"],
    ["HEAD", "/drain"],
    ["PUT", "/drain"],
    ["POST", "//drain"],
    ["POST", "/./drain"],
    ["POST", "/status/../drain"],
    ["POST", "/status?/drain"],
    ["POST", "/DRAIN"],
    ["POST", "/drain%2F..%2Fdead-letters%2Fpurge"],
    ["POST", "/drain%00/dead-letters"],
  ])("for %s %s", async (method, path) => {
    const { status, code } = await ask(supervisor.port, path, { method, ...asScheduler });
    expect([status, method === "HEAD" ? NOT_ALLOWED.code : code]).toEqual([403, NOT_ALLOWED.code]);
  });
});

describe("a path that begins with drain is nothing else for anybody", () => {
  test.each([
    "/drain/../status",
    "/drain/..%2Fstatus",
    "/drain/%2e%2e/dead-letters/purge",
    "/drain/events/purge",
    "/%64rain/../dead-letters/purge",
  ])("%s", async (path) => {
    expect((await ask(supervisor.port, path, asScheduler)).status).toBe(404);
    expect((await ask(supervisor.port, path, { headers: { authorization: OPERATOR } })).status).toBe(404);
  });
});

test("a token beside the verified one, of whoever's making, gives the scheduler no more", async () => {
  for (const headers of [
    { authorization: OPERATOR, "x-serverless-authorization": SCHEDULER },
    { authorization: SCHEDULER, "x-serverless-authorization": OPERATOR },
    { authorization: [OPERATOR, SCHEDULER] },
    { "x-serverless-authorization": [OPERATOR, SCHEDULER] },
    {},
  ]) {
    expect(await ask(supervisor.port, "/status", { method: "GET", headers })).toEqual(NOT_ALLOWED);
    expect(await ask(supervisor.port, "/drain", { headers })).toEqual({ status: 200 });
  }
});

test("an operator does everything; the probe of Cloud Run has no token and asks only whether it lives", async () => {
  const headers = { authorization: OPERATOR };
  for (const path of ["/status", "/dead-letters"])
    expect(await ask(supervisor.port, path, { method: "GET", headers })).toEqual({ status: 200 });
  expect(await ask(supervisor.port, "/drain", { headers })).toEqual({ status: 200 });
  expect(await ask(supervisor.port, "/health", { method: "GET" })).toEqual({ status: 200 });
});

test("outside Cloud Run nobody has verified a token, and everybody who gets there may do everything", async () => {
  for (const asked of [{}, asScheduler])
    expect(await ask(local.port, "/status", { method: "GET", ...asked })).toEqual({ status: 200 });
});

test("who paused a stream is named where Cloud Run has verified it, and nowhere else", async () => {
  const headers = { authorization: OPERATOR };
  const pausedBy = async () =>
    JSON.parse(((await world.redis.get("{spillway}:events:paused")) ?? "").slice(14)).by;
  expect(await ask(supervisor.port, "/streams/events/pause", { headers })).toEqual({ status: 200 });
  expect(await pausedBy()).toBe("operator@p.iam.gserviceaccount.com");
  expect(await ask(local.port, "/streams/events/pause", { headers })).toEqual({ status: 200 });
  expect(await pausedBy()).toBeUndefined();
  expect(await ask(supervisor.port, "/streams/events/resume", { headers })).toEqual({ status: 200 });
  expect(await world.redis.keys("*paused*")).toEqual([]);
});
