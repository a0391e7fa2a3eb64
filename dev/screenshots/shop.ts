/** The system in the pictures: a whole local stack over the shop's streams, and a console of it, in a temporary folder. */
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Console, startConsole } from "../console/console-server.ts";
import { supervisorAt } from "../operate/ask-supervisor.ts";
import { type Stack, startStack } from "../stack/stack.ts";
import { surgeRoutes } from "../surge/answer-surge.ts";
import { createSurge, type Surge } from "../surge/surge.ts";
import { migrateShop } from "./streams.ts";

export interface Shop {
  stack: Stack;
  surge: Surge;
  console: Console;
}

/** As `npm start` ticks. */
const TICK_MS = 1000;
const SOURCE = fileURLToPath(new URL("functions.ts", import.meta.url));

/** Starts it. `atEnd` gets what ends and removes each part, in the order in which they were started. */
export async function openShop(atEnd: (end: () => unknown) => void, signal: AbortSignal): Promise<Shop> {
  const dataDir = mkdtempSync(join(tmpdir(), "spillway-pictures-"));
  atEnd(() => rmSync(dataDir, { recursive: true, force: true }));
  chmodSync(dataDir, 0o755); // Postgres's user has to get through
  const stack = await startStack({
    ...{ dataDir, drainEveryMs: TICK_MS, signal },
    streams: { source: SOURCE, migrate: migrateShop },
    env: { NODE_OPTIONS: `--import ${import.meta.resolve("tsx")}` },
  });
  atEnd(() => stack.stop());
  const surge = createSurge(stack);
  atEnd(() => surge.stop());
  const served = await serve(stack, surge);
  atEnd(() => served.close());
  return { stack, surge, console: served };
}

function serve({ supervisorUrl, ingestUrl, apiKey }: Stack, surge: Surge): Promise<Console> {
  const supervisor = supervisorAt(supervisorUrl, async () => undefined);
  const target = { supervisor, ingest: { url: ingestUrl, apiKey }, isProd: false, canWrite: true };
  return startConsole({ target, port: 0, routes: surgeRoutes(surge) });
}
