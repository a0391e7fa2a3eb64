/**
 * The supervisor's commands on keys: `GET /keys` lists them, `POST /keys` with `{"action":"create"|"rotate"|"revoke", …}` changes
 * them. The answer to create and rotate holds the key, once.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import {
  type KeyCommand,
  type KeyList,
  keyCommand,
  type MadeKey,
  type RevokedKey,
} from "../lib/contract/keys.ts";
import { supervisorPaths } from "../lib/contract/paths.ts";
import { problemOfOrigin } from "../lib/cors-origin.ts";
import { createKey, type KeyDeps, KeyRefused, listKeys, revokeKey, rotateKey } from "../lib/operate/keys.ts";
import { Problem, sendJson } from "./answer.ts";
import { databaseProblem } from "./database-problem.ts";
import { readJsonBody } from "./json-body.ts";
import { READ, type Route } from "./route.ts";

/** Besides what the contract says, an origin must be one. */
const command = keyCommand.superRefine((asked, context) => {
  if (asked.action !== "create") return;
  for (const [i, text] of asked.origins.entries()) {
    const message = text === "*" ? "expected no origins in place of *" : problemOfOrigin(text);
    if (message !== undefined) context.addIssue({ code: "custom", path: ["origins", i], message });
  }
});

export const keyRoutes: readonly Route<{ keyCommands: KeyDeps }>[] = [
  {
    path: supervisorPaths.keys,
    methods: [...READ, "POST"],
    answer: ({ keyCommands }, req, res) => answerKeys(keyCommands, req, res),
  },
];

async function answerKeys(deps: KeyDeps, req: IncomingMessage, res: ServerResponse): Promise<void> {
  if (req.method !== "POST") {
    const keys = await listKeys(deps).catch(tell);
    return sendJson(res, 200, { keys } satisfies KeyList);
  }
  const asked = await readJsonBody(req, command);
  const done = await run(deps, asked).catch(tell);
  sendJson(res, asked.action === "revoke" ? 200 : 201, done);
}

function run(deps: KeyDeps, asked: KeyCommand): Promise<MadeKey | RevokedKey> {
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
