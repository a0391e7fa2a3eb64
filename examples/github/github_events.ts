/**
 * What happens in your GitHub repositories, a row each. Copy this file to lib/streams/, where its last import is "../schema/stream.ts", run
 * `npm run db:generate`, and set GITHUB_WEBHOOK_SECRET for ingest. At GitHub (Settings, Webhooks): the payload URL is
 * https://INGEST/v1/github_events/from/github, the content type `application/json`, and the secret the same text.
 */
import { jsonb, pgTable, text } from "drizzle-orm/pg-core";
import { z } from "zod";
import { defineStream, eventColumns, json } from "../../lib/schema/stream.ts";

export const githubEvents = pgTable("github_events", {
  ...eventColumns(),
  event: text("event").notNull(),
  action: text("action"),
  repository: text("repository"),
  sender: text("sender"),
  payload: jsonb("payload").notNull(),
});

/** What is read of a delivery. Everything else stays in `payload`. */
const delivery = z.looseObject({
  action: z.string().optional(),
  repository: z.looseObject({ full_name: z.string() }).optional(),
  sender: z.looseObject({ login: z.string() }).optional(),
});

export default defineStream({
  name: "github_events",
  table: githubEvents,
  schema: z.strictObject({
    event: z.string(),
    action: z.string().optional(),
    repository: z.string().optional(),
    sender: z.string().optional(),
    payload: json(),
  }),
  webhooks: {
    github: {
      secretEnv: "GITHUB_WEBHOOK_SECRET",
      toEvent: ({ headers, body }) => {
        const event = headers["x-github-event"] ?? "unknown";
        if (event === "ping") return null; // GitHub tries the address once
        const { action, repository, sender } = delivery.parse(body);
        return {
          event,
          action,
          repository: repository?.full_name,
          sender: sender?.login,
          payload: body as z.infer<ReturnType<typeof json>>,
        };
      },
    },
  },
});
