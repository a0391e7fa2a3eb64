/** GET /v1/openapi.json, over HTTP: whose it is, when it has changed, and that it is OpenAPI 3.1. */
import { createHash } from "node:crypto";
import { Validator } from "@seriousme/openapi-schema-validator";
import { Ajv2020 } from "ajv/dist/2020.js";
import { pgTable, text } from "drizzle-orm/pg-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { newKey } from "../../lib/access/key-format.ts";
import { type ApiKey, plainKey } from "../../lib/config.ts";
import { registryOf } from "../../lib/schema/registry.ts";
import { defineStream, eventColumns } from "../../lib/schema/stream.ts";
import { loadTestStreams } from "../streams/run/test-streams.ts";
import { oddStreams } from "./odd-streams.ts";
import { type Ingest, LEADS_KEY, OTHER_KEY, serveIngest } from "./test-ingest.ts";
import { KEY, openWorld, type World } from "./test-stack.ts";

const small = (name: string, retired = false) =>
  defineStream({
    name,
    retired,
    table: pgTable(name, { ...eventColumns(), note: text("note") }),
    schema: z.strictObject({ note: z.string().optional() }),
  });

const streams = registryOf([...(await loadTestStreams()).values(), ...oddStreams, small("gone", true)]);

const PAGE_KEY = newKey("public");

let world: World;
let ingest: Ingest;
beforeAll(async () => {
  world = await openWorld({}, streams);
  const digest = createHash("sha256").update(PAGE_KEY).digest();
  const page: ApiKey = { ...plainKey("page", digest, new Set(["leads"])), kind: "public" };
  ingest = await serveIngest(world, {
    corsOrigins: ["https://app.example"],
    apiKeys: [...world.config.apiKeys, page],
  });
});
afterAll(async () => {
  await ingest.close();
  await world.close();
});

const get = (headers: Record<string, string> = { authorization: `Bearer ${KEY}` }, method = "GET") =>
  ingest.send("/v1/openapi.json", { method, headers });
const bearer = (key: string) => ({ authorization: `Bearer ${key}` });

describe("the document", () => {
  test("is OpenAPI 3.1, for streams of every kind", async () => {
    const { status, headers, body } = await get();
    expect([status, headers.get("content-type")]).toEqual([200, "application/json"]);
    const validator = new Validator();
    expect(await validator.validate(body)).toEqual({ valid: true });
    expect([validator.version, body.openapi]).toEqual(["3.1", "3.1.1"]);
  });

  test("has every stream but retired ones, and every webhook", async () => {
    const { body } = await get();
    const open = [...streams.keys()].filter((name) => name !== "gone");
    expect(body.tags.map(({ name }: { name: string }) => name)).toEqual(open);
    const sources = ["standard", "svix", "github", "stripe", "shopify", "slack"];
    expect(Object.keys(body.paths).sort()).toEqual(
      [
        ...open.flatMap((name) => [`/v1/${name}`, `/v1/${name}/{id}`]),
        ...sources.map((source) => `/v1/deliveries/from/${source}`),
        ...["/v1/openapi.json", "/health"],
      ].sort(),
    );
  });

  test("has only the key's own streams", async () => {
    const { body } = await get(bearer(LEADS_KEY));
    expect(Object.keys(body.paths).sort()).toEqual([
      "/health",
      "/v1/leads",
      "/v1/leads/{id}",
      "/v1/openapi.json",
    ]);
    expect(JSON.stringify(body)).not.toContain("locations");
  });

  test("promises 201 alone where the stream is stored before the answer", async () => {
    const { body } = await get();
    const good = (name: string) =>
      Object.keys(body.paths[`/v1/${name}`].post.responses).filter((status) => status < "300");
    expect([good("leads"), good("locations")]).toEqual([["201"], ["201", "202"]]);
  });

  test("its examples fit its schemas, and a partial answer's errors are the door's own", async () => {
    const { body } = await get();
    const ajv = new Ajv2020({ strict: false, validateFormats: false });
    ajv.addSchema({ $id: "doc:", components: body.components });
    for (const name of ["locations", "activities", "odd_nested", "odd_wrapped"]) {
      const { requestBody, responses } = body.paths[`/v1/${name}`].post;
      const { examples } = requestBody.content["application/json"];
      const fits = ajv.compile({ $ref: `doc:#/components/schemas/${name}` });
      expect([examples.one.value, ...examples.several.value].map((one) => fits(one))).not.toContain(false);
      const partial = responses[202].content["application/json"].examples.some.value;
      const [field] = partial.rejected[0].errors[0].path.split(".");
      const { [field]: _, ...broken } = examples.one.value;
      const answer = await ingest.post(name, broken);
      expect([answer.status, answer.body.errors]).toEqual([422, partial.rejected[0].errors]);
    }
  });
});

describe("who may read it", () => {
  test("no key is a 401, a public key a 403, and another method a 405", async () => {
    expect(await get({})).toMatchObject({ status: 401, body: { code: "missing-key" } });
    expect(await get(bearer("unknown"))).toMatchObject({ status: 401, body: { code: "unknown-key" } });
    expect(await get(bearer(PAGE_KEY))).toMatchObject({
      status: 403,
      body: { code: "public-key-not-allowed" },
    });
    expect(await get(bearer(KEY), "POST")).toMatchObject({
      status: 405,
      body: { code: "method-not-allowed" },
    });
  });
});

describe("when it has changed", () => {
  test("each key has its own validator, and 304 answers it in every form", async () => {
    const { headers } = await get();
    const etag = headers.get("etag") ?? "";
    expect(etag).toMatch(/^"[\w-]{43}"$/);
    expect((await get(bearer(LEADS_KEY))).headers.get("etag")).not.toBe(etag);
    expect((await get(bearer(OTHER_KEY))).headers.get("etag")).toBe(etag);
    for (const given of [etag, `W/${etag}`, `"other", W/${etag}`, "*"]) {
      const answer = await get({ ...bearer(KEY), "if-none-match": given });
      expect([answer.status, answer.body, answer.headers.get("etag")]).toEqual([304, undefined, etag]);
    }
    const other = await get({ ...bearer(KEY), "if-none-match": `"other"` });
    expect([other.status, other.headers.get("etag")]).toEqual([200, etag]);
  });

  test("no shared cache keeps it, and it varies by the key, and by the origin that is answered", async () => {
    const { headers } = await get();
    expect(headers.get("cache-control")).toMatch(/^private/);
    expect(headers.get("vary")?.toLowerCase()).toBe("authorization, x-api-key");
    const ofPage = await get({ ...bearer(KEY), origin: "https://app.example" });
    expect(ofPage.headers.get("vary")?.toLowerCase()).toBe("origin, authorization, x-api-key");
    expect(ofPage.headers.get("access-control-allow-origin")).toBe("https://app.example");
  });

  test("HEAD answers its length without a body", async () => {
    const [whole, head] = [await get(), await get(bearer(KEY), "HEAD")];
    expect([head.status, head.body, head.headers.get("etag")]).toEqual([
      200,
      undefined,
      whole.headers.get("etag"),
    ]);
    expect(Number(head.headers.get("content-length"))).toBeGreaterThan(1000);
  });
});

describe("an unknown stream", () => {
  test("is a 404 that names the streams which the key may use", async () => {
    const { status, body } = await ingest.post("location", { a: 1 }, { key: LEADS_KEY });
    expect([status, body.code, body.streams, body.moreStreams]).toEqual([
      404,
      "unknown-stream",
      ["leads"],
      undefined,
    ]);
    expect(body.detail).toBe('no stream is named "location"; this key may use leads');
    const known = await ingest.post("locations", { a: 1 }, { key: LEADS_KEY });
    expect([known.status, known.body.code, known.body.streams]).toEqual([
      403,
      "stream-not-allowed",
      undefined,
    ]);
  });

  test("of many streams, twenty are named, and how many more there are", async () => {
    const many = Array.from({ length: 23 }, (_, i) => small(`many_${i}`));
    const crowded = await serveIngest({ ...world, streams: registryOf([small("gone", true), ...many]) });
    const { body } = await crowded.where("nothing", "x");
    await crowded.close();
    expect([body.streams.length, body.moreStreams, body.streams[0]]).toEqual([20, 3, "many_0"]);
    expect(body.detail).toMatch(/many_19 and 3 more$/);
  });
});
