/** Deliveries of webhooks, from every kind of sender that Spillway knows, and from a second one that signs as Standard Webhooks do. */
import { jsonb, pgTable, text } from "drizzle-orm/pg-core";
import { z } from "zod";
import { defineStream, eventColumns, json } from "../../lib/schema/stream.ts";

export const deliveries = pgTable("deliveries", {
  ...eventColumns(),
  type: text("type").notNull(),
  payload: jsonb("payload").notNull(),
});

const typed = z.object({ type: z.string() });

/** Turns a body that names its type into an event; one that is to be ignored into null. */
const byType = ({ body }: { body: unknown }) => {
  const { type, ...payload } = typed.loose().parse(body);
  return type === "ignored" ? null : { type, payload: payload as z.infer<ReturnType<typeof json>> };
};

/** The type of these stands in a header. */
const byHeader =
  (name: string) => (delivery: { body: unknown; headers: Readonly<Record<string, string>> }) => ({
    type: delivery.headers[name] ?? "unknown",
    payload: delivery.body as z.infer<ReturnType<typeof json>>,
  });

export default defineStream({
  name: "deliveries",
  table: deliveries,
  schema: z.strictObject({ type: z.string().min(1).max(200), payload: json() }),
  webhooks: {
    standard: { secretEnv: "TEST_STANDARD_SECRET", toEvent: byType },
    svix: { kind: "standard", secretEnv: "TEST_SVIX_SECRET", toEvent: byType },
    github: { secretEnv: "TEST_GITHUB_SECRET", toEvent: byHeader("x-github-event") },
    stripe: { secretEnv: "TEST_STRIPE_SECRET", toEvent: byType },
    shopify: { secretEnv: "TEST_SHOPIFY_SECRET", toEvent: byHeader("x-shopify-topic"), maxBytes: 2000 },
    slack: { secretEnv: "TEST_SLACK_SECRET", toEvent: byType, withinMs: 1500 },
  },
});
