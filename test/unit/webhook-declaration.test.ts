/** What a stream may declare of its webhooks: types refuse most of the rest, and one sentence at start all of it. Secrets come from the environment. */
import { pgTable, text } from "drizzle-orm/pg-core";
import { expect, test } from "vitest";
import { z } from "zod";
import { openVerifiers } from "../../lib/access/webhook-verifiers.ts";
import { registryOf } from "../../lib/schema/registry.ts";
import { defineStream, eventColumns } from "../../lib/schema/stream.ts";

const name = "orders";
const table = pgTable("orders", { ...eventColumns(), sku: text("sku").notNull(), note: text("note") });
const schema = z.strictObject({ sku: z.string(), note: z.string().optional() });
const toEvent = () => ({ sku: "a" });
const secretEnv = "SECRET";

/** Declares without types, as JavaScript does. */
const declare = (webhooks: object) => defineStream({ name, table, schema, webhooks } as never);

test("a source has its name's kind, or the one that it declares; and its kind's deadline, or its own", () => {
  const { webhooks } = defineStream({
    name,
    table,
    schema,
    webhooks: {
      stripe: { secretEnv, toEvent },
      "my-svix_2": { kind: "standard", secretEnv, toEvent, maxBytes: 5000, withinMs: 3000 },
      github: { kind: "shopify", secretEnv, toEvent },
      slack: { secretEnv, toEvent: () => null },
    },
  });
  const told = [...webhooks.values()].map(({ kind, maxBytes, withinMs }) => [kind, maxBytes, withinMs]);
  expect(told).toEqual([
    ["stripe", 1_048_576, 10_000],
    ["standard", 5000, 3000],
    ["shopify", 1_048_576, 4500],
    ["slack", 1_048_576, 2500],
  ]);
  expect(defineStream({ name, table, schema }).webhooks.size).toBe(0);
});

test("toEvent returns an event of the schema, or null: the compiler refuses anything else", () => {
  const of = (webhooks: Parameters<typeof declareTyped>[0]) => declareTyped(webhooks);
  // @ts-expect-error a field of another type
  of({ stripe: { secretEnv, toEvent: () => ({ sku: 1 }) } });
  // @ts-expect-error a field is missing
  of({ stripe: { secretEnv, toEvent: () => ({ note: "a" }) } });
  // @ts-expect-error several events
  of({ stripe: { secretEnv, toEvent: () => [{ sku: "a" }] } });
  // @ts-expect-error nothing
  of({ stripe: { secretEnv, toEvent: () => undefined } });
  // @ts-expect-error an unknown kind
  expect(() => of({ a: { kind: "paypal", secretEnv, toEvent } })).toThrow();
  // @ts-expect-error no name of a secret
  expect(() => of({ stripe: { toEvent } })).toThrow();
  of({
    stripe: {
      secretEnv,
      toEvent: ({ body, headers, rawBody }) => (body && headers.a && rawBody ? null : { sku: "" }),
    },
  });
});

type Declaration = Parameters<typeof defineStream<"orders", typeof table, typeof schema>>[0];
const declareTyped = (webhooks: NonNullable<Declaration["webhooks"]>) =>
  defineStream({ name, table, schema, webhooks });

test.each([
  [{ Stripe: { secretEnv, toEvent } }, 'webhook "Stripe": expected a name that begins with a letter'],
  [{ "a/b": { kind: "slack", secretEnv, toEvent } }, "expected a name that begins with a letter"],
  [
    { svix: { secretEnv, toEvent } },
    'webhook "svix": names no kind, and its own name is none: expected kind to be one of standard, github, stripe, shopify, slack',
  ],
  [{ constructor: { secretEnv, toEvent } }, "names no kind"],
  [
    { a: { kind: "paypal", secretEnv, toEvent } },
    'expected kind to be one of standard, github, stripe, shopify, slack, got "paypal"',
  ],
  [{ stripe: { kind: "toString", secretEnv, toEvent } }, "expected kind to be one of"],
  [{ stripe: { toEvent } }, "expected secretEnv to name a variable of the environment"],
  [{ stripe: { secretEnv: "whsec_abc", toEvent } }, "never the secret itself"],
  [{ stripe: { secretEnv } }, "has no toEvent"],
  [{ stripe: { secretEnv, toEvent: async () => null } }, "its toEvent is async"],
  ...[0, 1_048_577, 1.5, "1"].map(
    (maxBytes) =>
      [
        { stripe: { secretEnv, toEvent, maxBytes } },
        "expected maxBytes to be a whole number from 1 to 1048576",
      ] as const,
  ),
  ...[99, 45_001, Number.NaN].map(
    (withinMs) =>
      [
        { stripe: { secretEnv, toEvent, withinMs } },
        "expected withinMs to be a whole number from 100 to 45000",
      ] as const,
  ),
] as [object, string][])("%o is refused with one sentence", (webhooks, sentence) => {
  expect(() => declare(webhooks)).toThrow('stream "orders": webhook "');
  expect(() => declare(webhooks)).toThrow(sentence);
});

test("a part of a secret that holds spaces or commas is doubted, because whoever guesses the part could sign with it", () => {
  const stream = declare({ github: { secretEnv: "A", toEvent } });
  const { doubts } = openVerifiers(registryOf([stream]), { A: "It's a Secret-to-Everybody" });
  const reason = (place: number) =>
    `its secret ${place} has fewer than 8 characters: spaces and commas stand between secrets, so a secret that holds one is taken apart`;
  expect(doubts).toEqual([1, 2].map((place) => ({ setting: "A", reason: reason(place) })));
});

test("a secret that is missing or can't be used is doubted by its variable's name, and never said", () => {
  const stream = declare({
    stripe: { secretEnv: "A", toEvent },
    standard: { secretEnv: "B", toEvent },
    github: { secretEnv: "C", toEvent },
    slack: { secretEnv: "D", toEvent },
    shopify: { secretEnv: "DATABASE_URL", toEvent },
  });
  const environment = {
    DATABASE_URL: "postgres://a",
    B: "whsec_aGVsbG8gd29ybGQ= not-base64!",
    C: " one-of-three,two-of-three\n\tthree-of-three ",
    D: " , ",
  };
  const { findVerify, doubts } = openVerifiers(registryOf([stream]), environment);
  const [stripe, standard, github, slack] = [...stream.webhooks.values()];
  expect(
    [stripe, standard, github, slack].map((source) => source && findVerify(source) !== undefined),
  ).toEqual([false, true, true, false]);
  expect(doubts).toEqual([
    {
      setting: "A",
      reason: 'it has no usable secret, so the webhook source "stripe" of "orders" answers 503',
    },
    { setting: "B", reason: "its secret 2 is not usable: expected base64, with or without whsec_ before it" },
    {
      setting: "D",
      reason: 'it has no usable secret, so the webhook source "slack" of "orders" answers 503',
    },
    {
      setting: "DATABASE_URL", // a setting of ours is never a sender's secret
      reason: 'it has no usable secret, so the webhook source "shopify" of "orders" answers 503',
    },
  ]);
});
