/**
 * The composition root of the supervisor: makes the function from the configuration, and alone knows all its parts. Redis and Postgres
 * are not asked before the first request.
 */
import { randomUUID } from "node:crypto";
import { createBuffer } from "../lib/buffer/buffer.ts";
import { createHeldNotes } from "../lib/buffer/held-note.ts";
import { measureRoughly } from "../lib/buffer/measure.ts";
import { createPauses } from "../lib/buffer/pauses.ts";
import { createPruneTurn } from "../lib/buffer/prune-turn.ts";
import { createRefusalLists } from "../lib/buffer/refusal-lists.ts";
import { createWaitingLook } from "../lib/buffer/waiting.ts";
import { createWebhookCounts } from "../lib/buffer/webhook-counts.ts";
import { HeldLookout } from "../lib/drain/held-lookout.ts";
import { Witnesses } from "../lib/drain/witnesses.ts";
import { FairSlots } from "../lib/flow/fair-slots.ts";
import { createLog, type Log } from "../lib/log.ts";
import { createDailyPrune } from "../lib/operate/daily-prune.ts";
import { LastTick } from "../lib/operate/last-tick.ts";
import { Live } from "../lib/operate/live.ts";
import { SharedLook } from "../lib/operate/shared-look.ts";
import { type Registry, withInternal } from "../lib/schema/registry.ts";
import type { Postgres } from "../lib/store/database.ts";
import { createDeadLetterStore } from "../lib/store/dead-letter-store.ts";
import { createOldLetters } from "../lib/store/old-letters.ts";
import rolloutStream from "../lib/store/rollout-stream.ts";
import { createUsageStore } from "../lib/store/usage-store.ts";
import usageStream from "../lib/store/usage-stream.ts";
import type { Served } from "./front-door.ts";
import { createSupervisor } from "./supervisor.ts";
import { openCallers } from "./wire-callers.ts";
import { openDoctor } from "./wire-doctor.ts";
import { openKeyCommands } from "./wire-keys.ts";
import {
  closeServers,
  configure,
  environment,
  monotonicMs,
  now,
  openServers,
  openStore,
  openTableCheck,
  openTrace,
  sayDoubts,
} from "./wire-process.ts";

/** How long a drain waits for a script, in milliseconds. A lease should be more than twice as long. */
const CLAIM_TIMEOUT_MS = 5000;

/** How long a statement for people who deal with dead letters may take, in milliseconds: nobody holds a lease here. */
const LETTERS_TIMEOUT_MS = 30_000;

/**
 * How often Redis is asked for people who look on, while nothing changes, in milliseconds. On Cloud Run, which sets K_SERVICE, each
 * command is billed.
 */
const LIVE_EVERY_MS = environment.K_SERVICE ? 5000 : 1000;

const openLetters = (postgres: Postgres, streams: Registry) =>
  createDeadLetterStore(postgres.within(LETTERS_TIMEOUT_MS), streams, LETTERS_TIMEOUT_MS);

/** Makes the supervisor function. A command that serves one for itself gives it a configuration, and a log that says nothing. */
export async function wireSupervisor(
  ofRelease: Registry,
  config = configure(),
  log: Log = createLog({ function: "supervisor" }),
): Promise<Served> {
  const streams = withInternal(ofRelease, [usageStream, rolloutStream]);
  const doubts = sayDoubts(config, streams, log);
  const stopping = new AbortController();
  const trace = await openTrace();
  // Here and not above: prom-client takes 30 ms to load, which ingest's start does without.
  const { Metrics } = await import("../lib/operate/metrics.ts");
  const servers = openServers(config, config.drainConcurrency);
  const { postgres } = servers;
  const redis = servers.redis.within(CLAIM_TIMEOUT_MS);
  const instance = randomUUID();
  const database = postgres.within(config.insertTimeoutMs);
  const usage = createUsageStore(database, config.insertTimeoutMs);
  const pruning = {
    letters: createOldLetters(database, streams, config.insertTimeoutMs),
    usage,
    monotonicMs,
    ages: { lettersDays: config.keepLettersDays, usageDays: config.keepUsageDays },
  };
  const store = openStore(postgres, config.insertTimeoutMs);
  const paused = new Set(config.drainPaused);
  const pauses = createPauses(redis);
  const waiting = new SharedLook(createWaitingLook(redis, [...streams.keys()]), {
    ...{ monotonicMs, youngMs: LIVE_EVERY_MS },
  });
  const handler = createSupervisor({
    doctor: openDoctor({ config, servers, streams, doubts, now, monotonicMs }),
    lastTick: new LastTick(monotonicMs),
    ...openKeyCommands({ config, redis, postgres, streams, log }),
    usage,
    pruning,
    pruneDaily: createDailyPrune({ ...pruning, turn: createPruneTurn(redis), log }),
    refusals: createRefusalLists(redis),
    buffer: createBuffer(redis),
    heldNotes: createHeldNotes(redis),
    webhookCounts: createWebhookCounts(redis),
    store,
    tables: openTableCheck(postgres),
    letters: openLetters(postgres, streams),
    partitions: config.partitions,
    ...openCallers(config),
    streams,
    log,
    traceOf: trace,
    now,
    monotonicMs,
    slots: new FairSlots(config.drainConcurrency),
    witnesses: new Witnesses(),
    lookout: new HeldLookout(),
    // Outside Cloud Run each start of the process counts as a deployment.
    release: environment.K_REVISION ?? instance,
    instance,
    batchMaxRows: config.batchMaxRows,
    leaseMs: config.leaseMs,
    drainDeadlineMs: config.drainDeadlineMs,
    paused,
    pauses,
    stopping: stopping.signal,
    live: new Live({
      ...{ waiting, store, streams, paused, now, monotonicMs },
      ...{ everyMs: LIVE_EVERY_MS, stopping: stopping.signal },
      capacityBytes: config.bufferMaxBytes * config.partitions,
    }),
    metrics: new Metrics({
      ...{ streams, waiting, paused, now },
      measure: (keys) => measureRoughly(redis, keys),
    }),
  });
  return {
    handler,
    log,
    traceOf: trace,
    onStopping: () => stopping.abort(),
    onStopped: () => closeServers(servers),
  };
}
