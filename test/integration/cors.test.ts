/** What web pages may send and read: every preflight, every refusal, and other answers if their origin is allowed. */
import { createHash } from "node:crypto";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { newKey } from "../../lib/access/key-format.ts";
import { type ApiKey, plainKey } from "../../lib/config.ts";
import { drain } from "../../lib/drain/drain.ts";
import { type Answer, type Ingest, type Sending, serveIngest } from "./test-ingest.ts";
import { expectConserved, KEY, openWorld, type World } from "./test-stack.ts";

const LISTED = "https://app.example";
const FOREIGN = "https://evil.example";
/** A public key that names no origins, and one that names one. */
const PAGE = newKey("public");
const SHOP = newKey("public");

let world: World;
let ingest: Ingest;
/** Of an installation whose CORS_ORIGINS is `*`. */
let open: Ingest;

const publicKey = (name: string, text: string, more: Partial<ApiKey> = {}): ApiKey => ({
  ...plainKey(name, createHash("sha256").update(text).digest(), new Set(["events"])),
  ...{ kind: "public", perAddressPerSecond: 1_000_000 },
  ...more,
});

beforeAll(async () => {
  world = await openWorld();
  const apiKeys = [
    ...world.config.apiKeys,
    publicKey("page", PAGE),
    publicKey("shop", SHOP, { origins: ["https://shop.example"] }),
    publicKey("slow", "slow-key", { perAddressPerSecond: 0.01 }),
  ];
  const settings = { apiKeys, bodyMaxBytes: 20_000, eventMaxBytes: 1000 };
  ingest = await serveIngest(world, { ...settings, corsOrigins: [LISTED] });
  open = await serveIngest(world, { ...settings, corsOrigins: ["*"] });
});
beforeEach(() => world.reset());
afterAll(async () => {
  await ingest.close();
  await open.close();
  await world.close();
});

const event = (payload: unknown = 1) => ({ type: "opened", payload });
const allowedIn = ({ headers }: Answer) => headers.get("access-control-allow-origin");
const post = (origin: string, sending: Sending = {}, value: unknown = event()) =>
  ingest.post("events", value, { ...sending, headers: { origin, ...sending.headers } });

async function expectStored(answers: readonly Answer[]): Promise<void> {
  await drain(world.supervisor(), {});
  await expectConserved(
    world,
    "events",
    answers.flatMap(({ status, body }) => (status === 202 ? body.ids : [])),
  );
}

describe("a preflight", () => {
  const ask = (origin: string, path = "/v1/events", one = ingest) =>
    one.send(path, {
      method: "OPTIONS",
      headers: {
        origin,
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization,content-type,x-api-key",
      },
    });

  test.each([LISTED, FOREIGN, "null", "http://localhost:3000", "http://[::1]:5173", "capacitor://localhost"])(
    "of %s is answered, without cookies",
    async (origin) => {
      const { status, headers } = await ask(origin);
      expect([status, headers.get("access-control-allow-origin")]).toEqual([204, origin]);
      expect(headers.get("access-control-allow-methods")).toContain("POST");
      expect(headers.get("access-control-allow-headers")).toBe("authorization,content-type,x-api-key");
      expect(headers.get("access-control-max-age")).toBe("86400");
      expect(headers.get("vary")).toBe("Origin, Access-Control-Request-Headers");
      expect(headers.has("access-control-allow-credentials")).toBe(false);
    },
  );

  test.each([
    "/v1/events?key=spw_pub_any",
    "/v1/events?ack=sorted",
    "/v1/events/1",
    "/v1/events/1/2",
    "/v1/nowhere",
    "/v1/%zz",
    "/nowhere",
    "/health",
    "/",
  ])("of %s is answered, so that the page may read what its request is answered", async (path) => {
    const answer = await ask(FOREIGN, path);
    expect([answer.status, allowedIn(answer)]).toEqual([204, FOREIGN]);
  });

  test("of what is no origin repeats nothing of it", async () => {
    for (const origin of [
      "https://a.example/path",
      "<script>",
      "https://a.example, b",
      "x".repeat(400),
      "https://ä",
    ])
      expect(allowedIn(await ask(origin))).toBe("*");
    expect(allowedIn(await ask(FOREIGN, "/v1/events", open))).toBe("*");
  });
});

describe("a secret key", () => {
  test("goes by CORS_ORIGINS: other origins read no answer", async () => {
    const answers = [await post(LISTED), await post(FOREIGN), await post("null")];
    expect(answers.map((one) => [one.status, allowedIn(one), one.headers.get("vary")])).toEqual([
      [202, LISTED, "Origin"],
      [202, null, "Origin"],
      [202, null, "Origin"],
    ]);
    const anyOrigin = await open.post("events", event(), { headers: { origin: FOREIGN } });
    expect([anyOrigin.status, allowedIn(anyOrigin)]).toEqual([202, "*"]);
    await expectStored([...answers, anyOrigin]);
  });

  test.each(["cross-site", "same-site"])(
    "on a page of another origin (%s, as browsers say) is refused before anything is kept, and the page may read why",
    async (site) => {
      const fromPage = { headers: { "sec-fetch-site": site } };
      const refused = await post(FOREIGN, fromPage);
      expect([refused.status, refused.body.code, allowedIn(refused)]).toEqual([
        403,
        "origin-not-allowed",
        FOREIGN,
      ]);
      const headers = { origin: FOREIGN, "sec-fetch-site": site, authorization: `Bearer ${KEY}` };
      expect((await ingest.send("/v1/events/1", { headers })).status).toBe(403);
      const listed = await post(LISTED, fromPage);
      expect(listed.status).toBe(202);
      await expectStored([listed]);
    },
  );

  test("on a page of ingest's own origin, as behind a proxy, or in an extension is taken", async () => {
    const answers = await Promise.all(
      ["same-origin", "none"].map((site) =>
        post("https://own.example", { headers: { "sec-fetch-site": site } }),
      ),
    );
    expect(answers.map(({ status }) => status)).toEqual([202, 202]);
    await expectStored(answers);
  });
});

describe("a public key", () => {
  const cross = { "sec-fetch-site": "cross-site" };

  test("lets pages of its origins read the answer, whatever CORS_ORIGINS is", async () => {
    const answers = [
      await post(FOREIGN, { key: PAGE, headers: cross }),
      await post("null", { key: PAGE, headers: cross }),
      await post("https://shop.example", { key: SHOP, headers: cross }),
    ];
    expect(answers.map((one) => [one.status, allowedIn(one)])).toEqual([
      [202, FOREIGN],
      [202, "null"],
      [202, "https://shop.example"],
    ]);
    await expectStored(answers);
  });

  test("refuses other origins, and their pages may read why", async () => {
    for (const origin of [LISTED, FOREIGN, "null"]) {
      const answer = await post(origin, { key: SHOP, headers: cross });
      expect([answer.status, answer.body.code, allowedIn(answer)]).toEqual([
        403,
        "origin-not-allowed",
        origin,
      ]);
    }
    await expectStored([]);
  });
});

describe("a page of any origin may read", () => {
  const as = (status: number, answer: Answer) => {
    expect([answer.status, allowedIn(answer)]).toEqual([status, FOREIGN]);
    expect(answer.headers.get("access-control-expose-headers")?.split(", ")).toEqual(
      expect.arrayContaining([
        "Date",
        "Retry-After",
        "RateLimit",
        "RateLimit-Policy",
        "X-Request-Id",
        "X-Key-Expires",
      ]),
    );
  };
  const send = (method: string, path: string, headers: Record<string, string> = {}) =>
    ingest.send(path, { method, headers: { origin: FOREIGN, "x-api-key": KEY, ...headers } });

  test("each refusal", async () => {
    as(400, await post(FOREIGN, { query: "?ack=sorted" }));
    as(401, await post(FOREIGN, { key: "wrong" }));
    as(401, await post(FOREIGN, { query: `?key=${KEY}` }));
    as(403, await ingest.post("activities", {}, { key: PAGE, headers: { origin: FOREIGN } }));
    as(403, await send("HEAD", "/v1/events/1", { "x-api-key": PAGE }));
    as(404, await send("POST", "/v1/nowhere"));
    as(404, await send("POST", "/nowhere"));
    as(404, await send("POST", "/v1/%zz"));
    as(405, await send("PUT", "/v1/events"));
    as(413, await post(FOREIGN, {}, event("x".repeat(30_000))));
    as(413, await post(FOREIGN, {}, event("x".repeat(2000))));
    as(415, await post(FOREIGN, { headers: { "content-type": "image/png" } }));
    as(422, await post(FOREIGN, {}, { nothing: 1 }));
    const slow = { key: "slow-key" };
    const first = await post(FOREIGN, slow);
    as(429, await post(FOREIGN, slow));
    await expectStored([first]);
  });

  test("a 503, and a 500", async () => {
    world.upstash.setFault(() => ({ kind: "refuse" }));
    world.neon.setFault(() => ({ kind: "refuse" }));
    as(503, await post(FOREIGN));
    as(503, await post(FOREIGN, { key: PAGE }));
    as(503, await send("GET", "/v1/events/1"));
    const failing = await serveIngest(world, {
      isShedding: async () => {
        throw new Error("a bug");
      },
    });
    as(500, await failing.post("events", event(), { headers: { origin: FOREIGN } }));
    await failing.close();
    world.upstash.setFault(undefined);
    world.neon.setFault(undefined);
    await expectStored([]);
  });
});

test("an answer to what is no page has nothing of this", async () => {
  const answers = [
    await ingest.post("events", event()),
    await ingest.post("events", event(), { key: PAGE }),
    await ingest.post("events", {}),
    await ingest.send("/health"),
    await ingest.send("/v1/events", { method: "OPTIONS" }),
  ];
  for (const { headers } of answers) {
    expect([...headers.keys()].filter((name) => name.startsWith("access-control"))).toEqual([]);
    expect(headers.has("vary")).toBe(false);
  }
  await expectStored(answers);
});
