/**
 * The supervisor's commands on keys: `GET /keys` lists them, `POST /keys` with `{"action":"create"|"rotate"|"revoke", …}` changes
 * them. The answer to create and rotate holds the key, once.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { z } from "zod";
import { secondsOf } from "../lib/contract/length-of-time.ts";
import { problemOfOrigin } from "../lib/cors-origin.ts";
import { createKey, type KeyDeps, KeyRefused, listKeys, revokeKey, rotateKey } from "../lib/operate/keys.ts";
import { Problem, sendJson } from "./answer.ts";
import { databaseProblem } from "./database-problem.ts";
import { readJsonBody } from "./json-body.ts";
import { allow } from "./request-url.ts";

/** How long the old keys of a rotated one are valid, if the command does not say. */
const OVERLAP_DEFAULT = "7d";

const name = z
  .string()
  .regex(/^[\w.-]{1,64}$/, 'expected a name of 1 to 64 letters, digits, "_", "-" and "."');
/** A length of time, in seconds. */
const duration = z
  .string()
  .regex(/^\d{1,5}(?:s|min|h|d)$/, "expected a length of time, such as 90d, 12h, 30min or 0s")
  .transform((text) => secondsOf(text) as number);
const lifetime = duration.refine((seconds) => seconds > 0, "expected more than nothing");
const rate = z.int().min(1).max(10_000_000);
const origin = z
  .string()
  .max(253)
  .superRefine((text, context) => {
    const message = text === "*" ? "expected no origins in place of *" : problemOfOrigin(text);
    if (message !== undefined) context.addIssue({ code: "custom", message });
  });

const command = z.discriminatedUnion("action", [
  z.strictObject({
    action: z.literal("create"),
    name,
    kind: z.enum(["secret", "public"]).default("secret"),
    streams: z.array(z.string().max(63)).min(1).max(100).optional(),
    eventsPerSecond: rate.optional(),
    perAddressPerSecond: rate.optional(),
    origins: z.array(origin).max(50).default([]),
    expires: lifetime.optional(),
  }),
  z.strictObject({
    action: z.literal("rotate"),
    name,
    overlap: duration.prefault(OVERLAP_DEFAULT),
    expires: lifetime.optional(),
  }),
  z.strictObject({ action: z.literal("revoke"), name }),
]);

/** Answers GET and POST of `/keys`. Throws a Problem for each error. */
export async function answerKeys(deps: KeyDeps, req: IncomingMessage, res: ServerResponse): Promise<void> {
  allow(req, "GET", "HEAD", "POST");
  if (req.method !== "POST") return sendJson(res, 200, { keys: await listKeys(deps).catch(tell) });
  const asked = await readJsonBody(req, command);
  const done = await run(deps, asked).catch(tell);
  sendJson(res, asked.action === "revoke" ? 200 : 201, done);
}

function run(deps: KeyDeps, asked: z.output<typeof command>) {
  if (asked.action === "revoke") return revokeKey(deps, asked.name);
  if (asked.action === "rotate")
    return rotateKey(deps, {
      name: asked.name,
      overlapSeconds: asked.overlap,
      expiresInSeconds: asked.expires,
    });
  const { name, kind, streams, eventsPerSecond, perAddressPerSecond, origins, expires } = asked;
  const unique = streams && [...new Set(streams)];
  return createKey(deps, {
    ...{ name, kind, streams: unique, eventsPerSecond, perAddressPerSecond, origins },
    expiresInSeconds: expires,
  });
}

/** Throws the Problem of an error. */
function tell(error: unknown): never {
  if (error instanceof KeyRefused)
    throw new Problem(error.why === "impossible" ? "invalid-body" : error.why, error.message);
  throw databaseProblem(error, "; before you repeat the command, list the keys: it may be done");
}
