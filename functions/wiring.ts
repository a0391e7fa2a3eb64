/**
 * The composition root: makes a function from the configuration. Within the functions, only this file reads `process.env`, and
 * only this file knows every part. Redis and Postgres are not asked before the first request. On Cloud Run, the metadata
 * server is asked for the project at start.
 */
import { randomUUID } from "node:crypto";
import type { IncomingHttpHeaders, IncomingMessage } from "node:http";
import { AddressRates } from "../lib/access/address-rates.ts";
import { RateShares } from "../lib/access/rate-shares.ts";
import { Refusals } from "../lib/access/refusals.ts";
import { TokenBuckets } from "../lib/access/token-bucket.ts";
import { Usage } from "../lib/access/usage.ts";
import { WebhookTally } from "../lib/access/webhook-tally.ts";
import { openVerifiers } from "../lib/access/webhook-verifiers.ts";
import { type Buffer, createBuffer } from "../lib/buffer/buffer.ts";
import { createHeldNotes } from "../lib/buffer/held-note.ts";
import { createLimitShares } from "../lib/buffer/limit-shares.ts";
import { createPruneTurn } from "../lib/buffer/prune-turn.ts";
import { connectRedis } from "../lib/buffer/redis-client.ts";
import { createRefusalLists } from "../lib/buffer/refusal-lists.ts";
import { createWebhookCounts } from "../lib/buffer/webhook-counts.ts";
import { mayOperate } from "../lib/cloud-run/caller.ts";
import { metadataToken } from "../lib/cloud-run/metadata-token.ts";
import { findProject, traceOf } from "../lib/cloud-run/trace.ts";
import { type Config, ConfigError, readConfig } from "../lib/config.ts";
import { type Doubt, doubtsOf } from "../lib/config-doubts.ts";
import { HeldLookout } from "../lib/drain/held-lookout.ts";
import { Witnesses } from "../lib/drain/witnesses.ts";
import { CpuTurns } from "../lib/flow/cpu-turns.ts";
import { FairSlots } from "../lib/flow/fair-slots.ts";
import { Room } from "../lib/flow/room.ts";
import { createBury } from "../lib/ingest/accept-letter.ts";
import { AnswerCounts } from "../lib/ingest/answer-counts.ts";
import { type Flush, httpFlush, noFlush, tasksFlush } from "../lib/ingest/eager-flush.ts";
import { createLookUp } from "../lib/ingest/look-up.ts";
import { PartitionChoice } from "../lib/ingest/partition-choice.ts";
import { createPusher } from "../lib/ingest/push.ts";
import { createSayRefused } from "../lib/ingest/say-refused.ts";
import { createSetAside } from "../lib/ingest/set-aside.ts";
import { createWriteThrough } from "../lib/ingest/write-through.ts";
import { createLog, type Log } from "../lib/log.ts";
import { createDailyPrune } from "../lib/operate/daily-prune.ts";
import { type Registry, withInternal } from "../lib/schema/registry.ts";
import { connect } from "../lib/store/database.ts";
import { createDeadLetterStore } from "../lib/store/dead-letter-store.ts";
import { createOldLetters } from "../lib/store/old-letters.ts";
import { createStore } from "../lib/store/store.ts";
import { createTableCheck } from "../lib/store/table-check.ts";
import { createUsageStore } from "../lib/store/usage-store.ts";
import usageStream from "../lib/store/usage-stream.ts";
import { Cors } from "./cors.ts";
import type { Served } from "./front-door.ts";
import { createIngest } from "./ingest.ts";
import { createSupervisor } from "./supervisor.ts";
import { openKeyCommands, openKeyring } from "./wire-keys.ts";

/** How long ingest waits for one LPUSH of up to 4 MB, in milliseconds. A sender waits as long. */
const PUSH_TIMEOUT_MS = 4000;
/** How long a POST may take until it is answered, in milliseconds. Cloud Run ends it at 60 s, without its ids (terraform/ingest.tf). */
const ANSWER_WITHIN_MS = 45_000;
/**
 * How long a request waits for what is written along with it, in milliseconds: counts once a minute, refusals once in ten seconds. It waits
 * beside its own push.
 */
const RECORD_TIMEOUT_MS = 1000;
/** How long ingest waits for its shares of the keys' rates, in milliseconds: the old ones last for so long. */
const SHARES_TIMEOUT_MS = 1000;
/** How long a drain waits for a script, in milliseconds. A lease should be more than twice as long. */
const CLAIM_TIMEOUT_MS = 5000;
/** How long whoever was refused waits for the catalog, in milliseconds: a drain holds a lease meanwhile, and senders wait. */
const TABLE_CHECK_TIMEOUT_MS = 2000;
/**
 * What all large bodies under way in an instance may hold together, in bytes: as sent, inflated, or as their events' texts. They
 * need up to five times as much memory.
 */
const BODIES_MAX_BYTES = 50_000_000;
/** How long a statement for people who deal with dead letters may take, in milliseconds: nobody holds a lease here. */
const LETTERS_TIMEOUT_MS = 30_000;
/** How long a sender that asks where an event is waits for Postgres, in milliseconds. */
const LOOK_UP_TIMEOUT_MS = 5000;
/** The depth at which an instance moves to its next partition, as a multiple of the flush threshold. */
const DEEP_THRESHOLDS = 16;

/** The wall clock: for times that are written down, or compared with those of other machines. People and NTP may set it back. */
const now = () => Date.now();
/**
 * A clock that is never set back: for durations, deadlines and pauses within this process. It goes on while Cloud Run gives the instance
 * no CPU; if a whole machine is suspended it may stand still, and a pause is then longer.
 */
const monotonicMs = () => performance.now();

/** The environment of this process. */
export const environment = process.env;

/** Reads the configuration. If it has errors, writes all of them to standard error and ends the process with status 1. */
export function configure(): Config {
  try {
    return readConfig(environment);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    console.error(error.message);
    process.exit(1);
  }
}

const openStore = (config: Config) =>
  createStore(
    connect(config.databaseUrl, config.insertTimeoutMs, config.neonHttpUrl),
    config.insertTimeoutMs,
  );

/** Look-ups have a client of their own, because they give up sooner. */
const openLookUp = ({ databaseUrl, neonHttpUrl }: Config) =>
  createLookUp(
    createStore(connect(databaseUrl, LOOK_UP_TIMEOUT_MS, neonHttpUrl), LOOK_UP_TIMEOUT_MS),
    LOOK_UP_TIMEOUT_MS,
  );

const openLetters = ({ databaseUrl, neonHttpUrl }: Config, streams: Registry) =>
  createDeadLetterStore(connect(databaseUrl, LETTERS_TIMEOUT_MS, neonHttpUrl), streams, LETTERS_TIMEOUT_MS);

const openTableCheck = ({ databaseUrl, neonHttpUrl }: Config) =>
  createTableCheck(
    connect(databaseUrl, TABLE_CHECK_TIMEOUT_MS, neonHttpUrl),
    TABLE_CHECK_TIMEOUT_MS,
    monotonicMs,
  );

function openFlush(config: Config, log: Log): Flush {
  const { flushTrigger, supervisorUrl, tasksQueue } = config;
  if (flushTrigger === "http" && supervisorUrl) return httpFlush(supervisorUrl, log);
  if (flushTrigger === "tasks" && supervisorUrl && tasksQueue)
    return tasksFlush({ supervisorUrl, queue: tasksQueue, accessToken: metadataToken(monotonicMs), log });
  return noFlush;
}

/** Makes `traceOf`. Only on Cloud Run, which sets K_SERVICE, is there a project to ask for. */
async function openTrace() {
  const project = environment.K_SERVICE ? await findProject() : undefined;
  return (headers: IncomingHttpHeaders) => traceOf(project, headers);
}

/** Makes `mayOperate`. Only Cloud Run, which sets K_SERVICE, has verified the tokens of callers. */
function openCallers({ drainCallers }: Config): (req: IncomingMessage) => boolean {
  if (!environment.K_SERVICE || drainCallers.length === 0) return () => true;
  const only = new Set(drainCallers);
  return (req) => mayOperate(req, only);
}

function openPusher(config: Config, buffer: Buffer, log: Log) {
  const partitionChoice = new PartitionChoice({
    partitions: config.partitions,
    bufferMaxBytes: config.bufferMaxBytes,
    moveOnAtDepth: config.flushThreshold * DEEP_THRESHOLDS,
    measure: buffer.measure,
    monotonicMs,
    log,
  });
  return createPusher({
    buffer,
    monotonicMs,
    partitionChoice,
    flush: openFlush(config, log),
    flushThreshold: config.flushThreshold,
    log,
  });
}

/** Opens what puts the answers of an instance on record. It has a client of its own, because it gives up sooner. */
function openRecords(config: Config, log: Log) {
  const redis = connectRedis(config, RECORD_TIMEOUT_MS);
  return {
    usage: new Usage({ push: createBuffer(redis).push, now, monotonicMs, log }),
    refusals: new Refusals({ lists: createRefusalLists(redis), now, monotonicMs, log }),
  };
}
const openRates = (config: Config, log: Log) =>
  new RateShares({
    askForShares: createLimitShares(connectRedis(config, SHARES_TIMEOUT_MS), randomUUID()),
    buckets: new TokenBuckets(config.keyEventsPerSecond, monotonicMs),
    monotonicMs,
    log,
  });

/** Finds the settings that are probably not meant, and logs them. */
function sayDoubts(config: Config, streams: Registry, log: Log): Doubt[] {
  const doubts = doubtsOf(config, streams);
  for (const doubt of doubts) log.warn("config.doubted", { ...doubt });
  return doubts;
}

/** Makes what webhooks need. Secrets are read here, once; doubts about them are logged. */
function openWebhooks(
  streams: Registry,
  redis: ReturnType<typeof connectRedis>,
  store: ReturnType<typeof openStore>,
  log: Log,
) {
  const { findVerify, doubts } = openVerifiers(streams, environment);
  for (const doubt of doubts) log.warn("config.doubted", { ...doubt });
  const tally = new WebhookTally({ counts: createWebhookCounts(redis), now, monotonicMs, log });
  return { findVerify, tally, bury: createBury({ store, log }) };
}

/** Makes the ingest function. */
export async function wireIngest(streams: Registry): Promise<Served> {
  const config = configure();
  const log = createLog({ function: "ingest" });
  sayDoubts(config, streams, log);
  const store = openStore(config);
  const redis = connectRedis(config, PUSH_TIMEOUT_MS);
  const buffer = createBuffer(redis);
  const heldNotes = createHeldNotes(redis);
  const counts = new AnswerCounts(log, monotonicMs);
  const { push, isShedding } = openPusher(config, buffer, log);
  const cors = new Cors(config.corsOrigins);
  const handler = createIngest({
    streams,
    ...openKeyring(config, log, { now, monotonicMs }),
    isShedding,
    ...openRecords(config, log),
    accepting: {
      push,
      writeThrough: createWriteThrough(
        store,
        config.writeThroughConcurrency,
        monotonicMs,
        createSayRefused({ tables: openTableCheck(config), log, monotonicMs }),
      ),
      setAside: createSetAside({ store, buffer, heldNotes, streams, log }),
    },
    lookUp: openLookUp(config),
    rates: openRates(config, log),
    addresses: new AddressRates(monotonicMs),
    counts,
    webhooks: openWebhooks(streams, redis, store, log),
    room: new Room(BODIES_MAX_BYTES),
    turns: new CpuTurns(),
    now,
    answerWithinMs: ANSWER_WITHIN_MS,
    bodyMaxBytes: config.bodyMaxBytes,
    eventMaxBytes: config.eventMaxBytes,
    eventsMax: config.eventsMax,
    cors,
    keyEventsPerSecond: config.keyEventsPerSecond,
  });
  return {
    handler,
    cors,
    log,
    traceOf: await openTrace(),
    onStopping: () => {},
    onStopped: () => counts.logCounts(),
  };
}

/** Makes the supervisor function. A command that serves one for itself gives it a configuration, and a log that says nothing. */
export async function wireSupervisor(
  ofRelease: Registry,
  config = configure(),
  log: Log = createLog({ function: "supervisor" }),
): Promise<Served> {
  const streams = withInternal(ofRelease, [usageStream]);
  const doubts = sayDoubts(config, streams, log);
  const stopping = new AbortController();
  const trace = await openTrace();
  const redis = connectRedis(config, CLAIM_TIMEOUT_MS);
  const instance = randomUUID();
  const database = connect(config.databaseUrl, config.insertTimeoutMs, config.neonHttpUrl);
  const usage = createUsageStore(database, config.insertTimeoutMs);
  const pruning = {
    letters: createOldLetters(database, streams, config.insertTimeoutMs),
    usage,
    monotonicMs,
    ages: { lettersDays: config.keepLettersDays, usageDays: config.keepUsageDays },
  };
  const handler = createSupervisor({
    doubts,
    ...openKeyCommands({ config, redis, streams, log, monotonicMs }),
    usage,
    pruning,
    pruneDaily: createDailyPrune({ ...pruning, turn: createPruneTurn(redis), log }),
    refusals: createRefusalLists(redis),
    buffer: createBuffer(redis),
    heldNotes: createHeldNotes(redis),
    webhookCounts: createWebhookCounts(redis),
    store: openStore(config),
    tables: openTableCheck(config),
    letters: openLetters(config, streams),
    partitions: config.partitions,
    mayOperate: openCallers(config),
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
    paused: new Set(config.drainPaused),
    stopping: stopping.signal,
  });
  return { handler, log, traceOf: trace, onStopping: () => stopping.abort(), onStopped: () => {} };
}
