/** Starts what a surge is offered to: direct inserts, the buffer, or a server that does nothing. Each is a process of its own. */
import { createHash, randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { startTicker } from "../../functions/ticker.ts";
import { type Child, startFunction, startReady } from "../load/children.ts";
import { ownModule } from "../stack/package-files.ts";
import { bufferedStream } from "./own-stream.ts";
import type { Place } from "./place.ts";

export interface Target {
  port: number;
  apiKey: string;
  /** The stream's name in paths, and the table's in Postgres. */
  name: string;
  /** Brings what waits to Postgres; it takes a second at most, and there may be more. */
  drain(): Promise<void>;
  /** Ends its processes. May be repeated. */
  stop(): Promise<void>;
}

/** As `npm start` ticks, and Cloud Scheduler each minute. */
const TICK_MS = 1000;
/** How long `drain` waits for one call. */
const DRAIN_MS = 1000;

/** A server that only answers. */
export async function startEmpty(place: Place): Promise<Target> {
  const port = await place.freePort();
  const start = {
    file: ownModule("dev/surge/empty-server.ts"),
    args: [String(port)],
    logFile: place.logFile("empty"),
  };
  return targetOf(place, port, "empty", [await startReady(start)]);
}

/** An HTTP function that inserts each event at once, over connections of its own. */
export async function startDirect(place: Place): Promise<Target> {
  const child = await startFunction({
    source: ownModule("dev/surge/direct-function.ts"),
    target: "target",
    port: await place.freePort(),
    env: { DATABASE_URL: place.databaseUrl },
    logFile: place.logFile("direct"),
  });
  return targetOf(place, child.port, "direct", [child]);
}

/** Ingest and supervisor as they are deployed, with a bridge before each server, and ticks. */
export async function startBuffer(place: Place): Promise<Target> {
  const apiKey = randomBytes(24).toString("hex");
  const started: { stop(): Promise<void> }[] = [];
  place.onClose(() => stopAll(started));
  const environment = await startBridges(place, apiKey, started);
  const start = async (target: "ingest" | "supervisor", env: Record<string, string>) => {
    const port = await place.freePort();
    const source = ownModule("dev/surge/functions.ts");
    const child = await startFunction({ source, target, port, env, logFile: place.logFile(target) });
    started.push(child);
    return child;
  };
  const supervisor = await start("supervisor", environment);
  const supervisorUrl = `http://127.0.0.1:${supervisor.port}`;
  const flush = { FLUSH_TRIGGER: "http", SUPERVISOR_URL: supervisorUrl };
  const ingest = await start("ingest", { ...environment, ...flush });
  const ticker = startTicker({ supervisorUrl, everyMs: TICK_MS });
  started.push({ stop: async () => ticker.stop() });
  return {
    ...{ port: ingest.port, apiKey, name: bufferedStream.name },
    drain: async () => {
      const signal = AbortSignal.timeout(DRAIN_MS); // the call goes on; whoever waits looks at what is left
      const answer = await fetch(`${supervisorUrl}/drain?wait=1`, { method: "POST", signal }).catch(
        () => undefined,
      );
      await answer?.arrayBuffer().catch(() => {});
      if (answer?.status !== 200) await sleep(100);
    },
    stop: () => stopAll(started),
  };
}

async function startBridges(place: Place, apiKey: string, started: { stop(): Promise<void> }[]) {
  const restToken = randomBytes(12).toString("hex");
  const start = async (which: "upstash" | "neon") => {
    const port = await place.freePort();
    const bridge = await startReady({
      file: ownModule("dev/load/bridge.ts"),
      args: [which, String(port)],
      env: { REDIS_URL: place.redisUrl, REST_TOKEN: restToken },
      logFile: place.logFile(`bridge-${which}`),
    });
    started.push(bridge);
    return `http://127.0.0.1:${port}`;
  };
  const [upstash, neon] = [await start("upstash"), await start("neon")];
  return {
    UPSTASH_REDIS_REST_URL: upstash,
    UPSTASH_REDIS_REST_TOKEN: restToken,
    DATABASE_URL: place.databaseUrl,
    NEON_HTTP_URL: `${neon}/sql`,
    INGEST_API_KEYS: `surge:${createHash("sha256").update(apiKey).digest("hex")}`,
  };
}

function targetOf(place: Place, port: number, name: string, children: Child[]): Target {
  place.onClose(() => stopAll(children));
  return { port, apiKey: "", name, drain: async () => {}, stop: () => stopAll(children) };
}

/** The last one first: ticks, then ingest, then the supervisor, then the bridges. */
async function stopAll(started: { stop(): Promise<void> }[]): Promise<void> {
  for (const one of started.splice(0).reverse()) await one.stop();
}
