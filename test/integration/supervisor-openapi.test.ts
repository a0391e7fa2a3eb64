/**
 * The OpenAPI document of the supervisor's private interface: it has every route of the router and no other, and each route's answers on
 * real servers, good ones and problems, are as it says.
 */
import { request } from "node:http";
import { Validator } from "@seriousme/openapi-schema-validator";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { createSupervisor, supervisorRoutes } from "../../functions/supervisor.ts";
import { connectRedis } from "../../lib/buffer/redis-client.ts";
import { createWaitingLook } from "../../lib/buffer/waiting.ts";
import { Live } from "../../lib/operate/live.ts";
import { newId } from "../../lib/schema/event-ids.ts";
import { askSupervisor, expectSupervisorDocumented } from "./documented.ts";
import { runSpillway } from "./run-spillway.ts";
import { expectConserved, openWorld, pushEvents, type World } from "./test-stack.ts";

interface Operation {
  parameters?: { name: string; in: string }[];
  security?: unknown;
}
interface Document {
  openapi: string;
  security: unknown;
  paths: Record<string, Record<string, Operation>>;
  components: { securitySchemes: Record<string, unknown> };
}

let world: World;
let served: Awaited<ReturnType<World["serve"]>>;
/** The same for a caller that may only drain. */
let forDrainer: Awaited<ReturnType<World["serve"]>>;
let document: Document;
beforeAll(async () => {
  world = await openWorld();
  served = await serveLive(new AbortController().signal);
  forDrainer = await world.serve(createSupervisor(world.supervisor({ mayOperate: () => false })));
  document = (await askSupervisor(served.url, "/openapi.json")).body;
});
beforeEach(() => world.reset());
afterEach(() => {
  world.upstash.setFault(undefined);
  world.neon.setFault(undefined);
});
afterAll(async () => {
  await served.close();
  await forDrainer.close();
  await world.close();
});

/** Serves a supervisor that one can look on at. */
function serveLive(stopping: AbortSignal) {
  const deps = world.supervisor({ stopping });
  const waiting = createWaitingLook(connectRedis(world.config, 2000), [...world.streams.keys()]);
  return world.serve(
    createSupervisor({ ...deps, live: new Live({ ...deps, store: world.store, waiting, everyMs: 20 }) }),
  );
}

/** `get /status` and so on. */
const operations = (): string[] =>
  Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method} ${path}`),
  );

describe("the document", () => {
  test("is OpenAPI 3.1, and asks for an identity token or the operator token", async () => {
    const validator = new Validator();
    expect(await validator.validate(structuredClone(document) as never)).toEqual({ valid: true });
    expect([validator.version, document.openapi]).toEqual(["3.1", "3.1.1"]);
    expect(document.security).toEqual([{ IdentityToken: [] }, { OperatorToken: [] }]);
    expect(document.components.securitySchemes).toMatchObject({
      IdentityToken: { type: "http", scheme: "bearer", bearerFormat: "JWT" },
      OperatorToken: { type: "http", scheme: "bearer" },
    });
  });

  test("has every route of the router, and no other", () => {
    const routed = supervisorRoutes.flatMap(({ path, methods }) =>
      methods.filter((method) => method !== "HEAD").map((method) => `${method.toLowerCase()} ${path}`),
    );
    expect(operations().sort()).toEqual(routed.sort());
  });

  test("names each part of a path that stands for something", () => {
    for (const [path, methods] of Object.entries(document.paths))
      for (const { parameters = [] } of Object.values(methods))
        expect(parameters.filter((one) => one.in === "path").map(({ name }) => `{${name}}`)).toEqual(
          path.match(/\{\w+\}/g) ?? [],
        );
  });

  test("has the parameters that a query may have, where others are refused", async () => {
    for (const [operation, path] of [
      ["get /usage", "/usage"],
      ["get /refusals", "/refusals"],
      ["post /prune", "/prune"],
    ] as const) {
      const [method = "", template = ""] = operation.split(" ");
      const { status, body } = await ask({ method: method.toUpperCase(), path: `${path}?no-such=1` });
      const named = document.paths[template]?.[method]?.parameters?.map(({ name }) => name).join(", ");
      expect([status, body.detail]).toEqual([400, `expected no parameter but ${named}`]);
    }
  });

  test("is what the command writes without any server, with the address that is named", async () => {
    const env = { UPSTASH_REDIS_REST_URL: "", DATABASE_URL: "", SUPERVISOR_URL: "" };
    const written = await runSpillway(["openapi", "--supervisor"], { env });
    expect([written.code, written.err]).toEqual([0, ""]);
    expect(JSON.parse(written.out)).toEqual(document);
    const named = await runSpillway(["openapi", "--supervisor", "--server", "https://x.run.app"], { env });
    expect(JSON.parse(named.out)).toEqual({ ...document, servers: [{ url: "https://x.run.app" }] });
    const both = await runSpillway(["openapi", "--supervisor", "--streams", "checked"], { env });
    expect([both.code, both.out]).toEqual([2, ""]);
  });
});

interface Call {
  method?: string;
  path: string;
  body?: unknown;
  /** Who asks, or which server is away meanwhile. */
  as?: "drainer" | "redis-away" | "postgres-away";
}

function ask({ body, as, path, method = body === undefined ? "GET" : "POST" }: Call) {
  if (as === "redis-away") world.upstash.setFault(() => ({ kind: "refuse" }));
  if (as === "postgres-away") world.neon.setFault(() => ({ kind: "refuse" }));
  return askSupervisor((as === "drainer" ? forDrainer : served).url, path, {
    method,
    ...(body === undefined
      ? {}
      : { headers: { "content-type": "application/json" }, body: JSON.stringify(body) }),
  });
}

/** What somebody sees who looks on with every panel while something happens, until each of these kinds has come. The instance ends then. */
async function lookOn(kinds: readonly string[], happens: (at: string) => Promise<void>) {
  const stopping = new AbortController();
  const one = await serveLive(stopping.signal);
  const response = await fetch(`${one.url}/live?panels=letters,stored:checked`);
  const happened = happens(one.url);
  const lines: { kind: string }[] = [];
  let text = "";
  for await (const piece of response.body?.pipeThrough(new TextDecoderStream()) ?? []) {
    const parts = (text + piece).split("\n");
    text = parts.pop() ?? "";
    lines.push(...parts.map((part) => JSON.parse(part)));
    if (kinds.every((kind) => lines.some((line) => line.kind === kind))) stopping.abort();
  }
  await happened;
  await one.close();
  return lines;
}

/** A request with an Expect that nobody can meet: fetch sends none. */
function expectTooMuch(path: string): Promise<{ status: number; headers: Headers; body: { code: string } }> {
  return new Promise((resolve, reject) => {
    const asked = request(`${served.url}${path}`, { headers: { expect: "miracles" } }, async (res) => {
      const text = (await res.toArray()).join("");
      const headers = new Headers({ "content-type": res.headers["content-type"] ?? "" });
      resolve({ status: res.statusCode ?? 0, headers, body: JSON.parse(text) });
    });
    asked.once("error", reject).end();
  });
}

/** Lets two events die and one be stored, and one waits; returns their ids. */
async function move(): Promise<string[]> {
  const ids = await pushEvents(world, { stream: "checked", index: 0 }, [{ n: 0 }, { n: -1 }, { n: 1 }]);
  await ask({ method: "POST", path: "/drain" });
  return [...ids, ...(await pushEvents(world, { stream: "checked", index: 5 }, [{ n: 2 }]))];
}

type Told = { status: number; keys: string[] };
type Case = { good: [Call, Told][]; bad: [Call, status: number, code: string][] };

const POST = "POST";
const told = (status: number, ...keys: string[]): Told => ({ status, keys });
const REDRIVEN = ["redriven", "changed", "skipped", "skippedLetters", "stopped", "next"];
const TRIED = [
  "stored",
  "refused",
  "there",
  "otherKey",
  "groups",
  "skipped",
  "skippedLetters",
  "stopped",
  "next",
];

/** What is asked of each operation, after two events of `checked` have died, one is stored, and one waits. */
const CASES: Record<string, (deadId: string, storedId: string) => Case> = {
  "get /health": () => ({ good: [[{ path: "/health" }, told(200, "status")]], bad: [] }),
  "get /openapi.json": () => ({
    good: [[{ path: "/openapi.json" }, told(200, "openapi")]],
    bad: [[{ path: "/openapi.json", as: "drainer" }, 403, "caller-not-allowed"]],
  }),
  "post /drain": () => ({
    good: [
      [{ method: POST, path: "/drain", as: "drainer" }, told(200, "streams", "durationMs")],
      [{ method: POST, path: "/drain?wait=1", as: "redis-away" }, told(503, "streams", "durationMs")],
    ],
    bad: [[{ method: POST, path: "/drain?partition=1" }, 400, "invalid-query"]],
  }),
  "post /drain/{stream}": () => ({
    good: [
      [{ method: POST, path: "/drain/checked?partition=3" }, told(200, "streams", "durationMs")],
      [{ method: POST, path: "/drain/checked", as: "redis-away" }, told(503, "streams", "durationMs")],
    ],
    bad: [
      [{ method: POST, path: "/drain/nowhere" }, 404, "unknown-stream"],
      [{ method: POST, path: "/drain/checked?partition=16" }, 400, "invalid-query"],
    ],
  }),
  "get /status": () => ({
    good: [
      [{ path: "/status" }, told(200, "streams")],
      [{ path: "/status", as: "postgres-away" }, told(200, "streams")],
    ],
    bad: [[{ path: "/status", as: "redis-away" }, 503, "buffer-away"]],
  }),
  "get /doctor": () => ({
    good: [
      [{ path: "/doctor" }, told(200, "checks", "durationMs")],
      [{ path: "/doctor", as: "postgres-away" }, told(200, "checks", "durationMs")],
    ],
    bad: [[{ path: "/doctor", as: "drainer" }, 403, "caller-not-allowed"]],
  }),
  "get /live": () => ({
    good: [], // below
    bad: [
      [{ path: "/live?after=nothing" }, 400, "invalid-query"],
      [{ path: "/live?no-such=1" }, 400, "invalid-query"],
    ],
  }),
  "get /metrics": () => ({
    good: [], // metrics.test.ts
    bad: [[{ path: "/metrics", as: "drainer" }, 403, "caller-not-allowed"]],
  }),
  "get /usage": () => ({
    good: [[{ path: "/usage?key=&stream=checked" }, told(200, "since", "until", "hours", "isCut")]],
    bad: [
      [{ path: "/usage?since=yesterday" }, 400, "invalid-query"],
      [{ path: "/usage", as: "postgres-away" }, 503, "database-away"],
    ],
  }),
  "get /refusals": () => ({
    good: [[{ path: "/refusals?stream=checked" }, told(200, "stream", "refusals")]],
    bad: [
      [{ path: "/refusals?stream=nowhere" }, 404, "unknown-stream"],
      [{ path: "/refusals", as: "redis-away" }, 503, "buffer-away"],
    ],
  }),
  "post /prune": () => ({
    good: [
      ...["", "?letters-days=9&usage-days=0&dry-run=1"].map((query): [Call, Told] => [
        { method: POST, path: `/prune${query}` },
        told(200, "lettersDays", "usageDays", "letters", "usage", "isDone", "isDryRun"),
      ]),
    ],
    bad: [
      [{ method: POST, path: "/prune?letters-days=some" }, 400, "invalid-query"],
      [{ method: POST, path: "/prune", as: "postgres-away" }, 503, "database-away"],
    ],
  }),
  "get /keys": () => ({
    good: [[{ path: "/keys" }, told(200, "keys")]],
    bad: [[{ path: "/keys", as: "postgres-away" }, 503, "database-away"]],
  }),
  "post /keys": () => ({
    good: [
      [
        {
          path: "/keys",
          body: {
            ...{ action: "create", name: "page", kind: "public", streams: ["checked"], expires: "1d" },
            ...{ eventsPerSecond: 5, perAddressPerSecond: 1, origins: ["https://example.com"] },
          },
        },
        told(201, "name", "key", "isCopied"),
      ],
      [{ path: "/keys" }, told(200, "keys")],
      [
        { path: "/keys", body: { action: "rotate", name: "page", overlap: "1h" } },
        told(201, "name", "key", "isCopied"),
      ],
      [{ path: "/keys", body: { action: "revoke", name: "page" } }, told(200, "name", "keys", "isRefused")],
    ],
    bad: [
      [{ path: "/keys", body: { action: "create" } }, 400, "invalid-body"],
      [
        { path: "/keys", body: { action: "create", name: "a", kind: "public", origins: ["*"] } },
        400,
        "invalid-body",
      ],
      [{ path: "/keys", body: { action: "rotate", name: "nobody" } }, 404, "unknown-name"],
      [{ path: "/keys", body: { action: "create", name: "tester" } }, 409, "name-taken"],
    ],
  }),
  "post /streams/{stream}/pause": () => ({
    good: [
      [{ method: POST, path: "/streams/checked/pause" }, told(200, "stream", "paused", "replaced", "note")],
      [
        { path: "/streams/checked/pause", body: { for: "2h", why: "a test" } },
        told(200, "stream", "paused", "replaced", "note"),
      ],
      [{ path: "/status" }, told(200, "streams")],
    ],
    bad: [
      [{ path: "/streams/checked/pause", body: { for: "3d" } }, 400, "invalid-body"],
      [{ method: POST, path: "/streams/nowhere/pause" }, 404, "unknown-stream"],
    ],
  }),
  "post /streams/{stream}/resume": () => ({
    good: [
      [{ method: POST, path: "/streams/checked/resume" }, told(200, "stream", "ended", "paused", "note")],
    ],
    bad: [[{ method: POST, path: "/streams/checked/resume", as: "redis-away" }, 503, "buffer-away"]],
  }),
  "get /streams/{stream}/events/{id}": (_, storedId) => ({
    good: [[{ path: `/streams/checked/events/${storedId}` }, told(200, "stream", "id", "row", "bytes")]],
    bad: [
      [{ path: "/streams/checked/events/none" }, 404, "unknown-row"],
      [{ path: `/streams/nowhere/events/${storedId}` }, 404, "unknown-stream"],
      [{ path: `/streams/checked/events/${storedId}`, as: "postgres-away" }, 503, "database-away"],
    ],
  }),
  "get /dead-letters": () => ({
    good: [
      [{ path: "/dead-letters?stream=checked&all=1" }, told(200, "total", "live", "notCompared", "groups")],
      [{ path: "/dead-letters?each=1&limit=1&sqlstate=23514" }, told(200, "letters", "notCompared", "next")],
    ],
    bad: [
      [{ path: "/dead-letters?since=yesterday" }, 400, "invalid-query"],
      [{ path: "/dead-letters?cursor=1&each=1" }, 400, "invalid-query"],
    ],
  }),
  "get /dead-letters/{id}": (id) => ({
    good: [[{ path: `/dead-letters/${id}` }, told(200, "letters")]],
    bad: [[{ path: `/dead-letters/${newId()}` }, 404, "unknown-letter"]],
  }),
  "post /dead-letters/redrive": (id) => ({
    good: [
      [{ path: "/dead-letters/redrive", body: { dryRun: true } }, told(200, ...TRIED)],
      [{ path: "/dead-letters/redrive", body: { ids: [id], rate: 1000 } }, told(200, ...REDRIVEN)],
    ],
    bad: [
      [{ path: "/dead-letters/redrive", body: { cursor: "1" } }, 400, "invalid-query"],
      [{ path: "/dead-letters/redrive", body: { until: "soon" } }, 400, "invalid-body"],
    ],
  }),
  "post /dead-letters/purge": (id) => ({
    good: [
      [
        { path: "/dead-letters/purge", body: { ids: [id], dryRun: true } },
        told(200, "letters", "live", "notCompared"),
      ],
    ],
    bad: [[{ path: "/dead-letters/purge", body: {} }, 400, "invalid-body"]],
  }),
};

describe("what is answered", () => {
  test("is asked of every operation here", () => {
    expect(Object.keys(CASES).sort()).toEqual(operations().sort());
  });

  test.each(Object.keys(CASES))("by %s is as the document says", async (operation) => {
    const ids = await move();
    const { good, bad } = CASES[operation]?.(ids[0] ?? "", ids[2] ?? "") ?? { good: [], bad: [] };
    for (const [call, { status, keys }] of good) {
      const answer = await ask(call);
      world.upstash.setFault(undefined);
      world.neon.setFault(undefined);
      expect([call, answer.status]).toEqual([call, status]);
      expect(Object.keys(answer.body)).toEqual(expect.arrayContaining(keys));
    }
    for (const [call, status, code] of bad) {
      const answer = await ask(call);
      world.upstash.setFault(undefined);
      world.neon.setFault(undefined);
      expect([call, answer.status, answer.body.code]).toEqual([call, status, code]);
    }
    await expectConserved(world, "checked", ids);
  });

  test("by /live are lines, each a LiveLine", async () => {
    const kinds = ["hello", "counts", "pause", "drain-begun", "batch", "drain-ended", "letters", "stored"];
    const lines = await lookOn(kinds, async (at) => {
      const ids = await pushEvents(world, { stream: "checked", index: 0 }, [{ n: 1 }, { n: 0 }]);
      await askSupervisor(at, "/streams/checked/pause", { method: "POST" });
      await askSupervisor(at, "/streams/checked/resume", { method: "POST" });
      await askSupervisor(at, "/drain", { method: "POST" });
      await expectConserved(world, "checked", ids);
    });
    expect(lines.map(({ kind }) => kind)).toEqual(expect.arrayContaining([...kinds, "end"]));
    const headers = new Headers({ "content-type": "application/x-ndjson" });
    expectSupervisorDocumented("GET", "/live", { status: 200, headers, body: lines });
    for (const broken of [{ ...lines[0], more: 1 }, { ...lines[0], kind: "none" }, { kind: "alive" }])
      expect(() =>
        expectSupervisorDocumented("GET", "/live", { status: 200, headers, body: [broken] }),
      ).toThrow();
  });

  test("by /health, too, if it is a problem", async () => {
    const answer = await expectTooMuch("/health");
    expectSupervisorDocumented("GET", "/health", answer);
    expect([answer.status, answer.body.code]).toEqual([417, "expectation-failed"]);
  });
});
