/** A stream's own code that does the worst with a signed delivery: it is never a 4xx or a 500, never ends the process, and nothing is lost. */
import { pgTable, text } from "drizzle-orm/pg-core";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { z } from "zod";
import { drain } from "../../lib/drain/drain.ts";
import { registryOf } from "../../lib/schema/registry.ts";
import { defineStream, eventColumns } from "../../lib/schema/stream.ts";
import type { WebhookDelivery } from "../../lib/schema/webhook.ts";
import { decodeDelivery } from "../../lib/schema/webhook-letter.ts";
import { type Ingest, serveIngest } from "./test-ingest.ts";
import { expectConserved, openWorld, type World } from "./test-stack.ts";
import { senders } from "./webhook-senders.ts";

const SECRET = "whsec_test";
let toThrow: () => never;
let toEvent: (delivery: WebhookDelivery) => unknown;
const odd = defineStream({
  name: "odd_code",
  table: pgTable("odd_code", { ...eventColumns(), kind: text("kind").notNull() }),
  schema: z.strictObject({
    kind: z
      .string()
      .max(20)
      .refine((kind) => kind !== "throw" || toThrow()),
  }),
  webhooks: {
    stripe: { secretEnv: "SECRET", toEvent: (delivery) => toEvent(delivery) as { kind: string } | null },
  },
});

let world: World;
let ingest: Ingest;
const unhandled: unknown[] = [];
const note = (error: unknown) => void unhandled.push(error);
beforeAll(async () => {
  world = await openWorld({}, registryOf([odd]));
  await world.sql.query(`drop table if exists odd_code; create table odd_code (
    id uuid primary key, received_at timestamptz not null, stored_at timestamptz not null default now(), kind text not null)`);
  ingest = await serveIngest(world, { secrets: { SECRET } });
});
beforeEach(async () => {
  await world.reset();
  unhandled.length = 0;
  process.on("unhandledRejection", note);
});
afterEach(() => void process.off("unhandledRejection", note));
afterAll(async () => {
  await ingest.close();
  await world.sql.query("drop table odd_code");
  await world.close();
});

const throwing = (value: unknown) => () => {
  throw value;
};
const named = (name: unknown, message: unknown = "m") => {
  const error = new Error("m");
  Object.defineProperties(error, { name: { value: name }, message: { value: message } });
  return error;
};
const cyclic: Record<string, unknown> = {};
cyclic.kind = cyclic;
const refusing = () =>
  new Proxy(
    {},
    { get: throwing(new Error("get")), ownKeys: throwing(Object.create(null)), has: throwing(null) },
  );

test.each<[string, (delivery: WebhookDelivery) => unknown]>([
  ["throws an object without a prototype", throwing(Object.create(null))],
  ["throws null", throwing(null)],
  ["throws a symbol", throwing(Symbol("s"))],
  ["throws a text", throwing("text")],
  ["throws an error whose name is no text", throwing(named(Symbol("n")))],
  [
    "throws an error whose message is no text",
    throwing(
      named("Error", {
        toString: () => {
          throw new Error("x");
        },
      }),
    ),
  ],
  ["throws an error whose name can't be stored", throwing(named("a\0b\ud800"))],
  ["throws an error whose name is data, and long", throwing(named("x".repeat(100_000)))],
  [
    "recurses for ever",
    function again(): unknown {
      return [again()];
    },
  ],
  ["returns a promise that rejects", () => Promise.reject(new Error("later"))],
  ["returns a promise that keeps", () => Promise.resolve({ kind: "a" })],
  ["returns what has a field then", () => JSON.parse('{"kind":"a","then":1}')],
  ["returns a cycle", () => cyclic],
  ["returns a proxy that throws", refusing],
  ["returns a function", () => () => ({ kind: "a" })],
  ["returns a number beyond all", () => ({ kind: 10n })],
  ["returns undefined", () => undefined],
  ["returns what can't be written as JSON", () => ({ kind: "a", toJSON: throwing(new Error("x")) })],
  [
    "returns a deep nest",
    () => {
      let deep: unknown = 1;
      for (let i = 0; i < 200_000; i++) deep = [deep];
      return { kind: deep };
    },
  ],
  [
    "spoils the body and the headers",
    ({ rawBody, headers }) => {
      rawBody.fill(0);
      Object.assign(headers, { a: "b" });
      throw new Error("x");
    },
  ],
])("%s", async (_, code) => {
  toEvent = code;
  const body = JSON.stringify({ id: "evt_1", n: 1 });
  const signed = await senders.stripe(body, { secret: SECRET });
  const init = () => ({ method: "POST", body: new Uint8Array(signed.body), headers: signed.headers });
  const { status, body: answer } = await ingest.send("/v1/odd_code/from/stripe", init());
  expect([status, answer.code]).toEqual([202, undefined]);
  expect(answer.deadLetter.length).toBeLessThan(200);
  await new Promise((resolve) => setImmediate(resolve));
  expect(unhandled).toEqual([]);
  await drain(world.supervisor(), {});
  const { rows } = await world.sql.query("select envelope, reason from dead_letters");
  expect(rows).toHaveLength(1);
  expect(decodeDelivery(rows[0].envelope)?.rawBody.toString()).toBe(body);
  expect(decodeDelivery(rows[0].envelope)?.headers).toEqual({});
  await expectConserved(world, "odd_code", answer.ids);
  expect(world.said.map(({ event }) => event)).not.toContain("request.failed");
});

test.each([
  ["an object without a prototype", Object.create(null)],
  ["an error whose name is no text", named(Symbol("n"))],
  ["an error whose name is data, and long", named("x".repeat(100_000))],
])("a schema that throws %s refuses that event alone, in one short sentence", async (_, thrown) => {
  toThrow = throwing(thrown);
  const { status, body } = await ingest.post("odd_code", [{ kind: "a" }, { kind: "throw" }]);
  expect([status, body.accepted, body.rejected.length]).toEqual([202, 1, 1]);
  expect(body.rejected[0].errors[0].message.length).toBeLessThan(150);
  await drain(world.supervisor(), {});
  await expectConserved(world, "odd_code", body.ids);
});
