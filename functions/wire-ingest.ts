/**
 * The composition root of ingest: makes the function from the configuration, and alone knows all its parts. Redis and Postgres are
 * not asked before the first request. On Cloud Run, the metadata server is asked for the project at start.
 */
import { randomUUID } from "node:crypto";
import { AddressRates } from "../lib/access/address-rates.ts";
import { RateShares } from "../lib/access/rate-shares.ts";
import { Refusals } from "../lib/access/refusals.ts";
import { ThrottledKeys } from "../lib/access/throttled-keys.ts";
import { TokenBuckets } from "../lib/access/token-bucket.ts";
import { Usage } from "../lib/access/usage.ts";
import { WebhookTally } from "../lib/access/webhook-tally.ts";
import { openVerifiers } from "../lib/access/webhook-verifiers.ts";
import { type Buffer, createBuffer } from "../lib/buffer/buffer.ts";
import { createHeldNotes } from "../lib/buffer/held-note.ts";
import { createLimitShares } from "../lib/buffer/limit-shares.ts";
import type { OpenRedis } from "../lib/buffer/redis-client.ts";
import { createRefusalLists } from "../lib/buffer/refusal-lists.ts";
import { createWebhookCounts } from "../lib/buffer/webhook-counts.ts";
import { metadataToken } from "../lib/cloud-run/metadata-token.ts";
import type { Config } from "../lib/config.ts";
import { CpuTurns } from "../lib/flow/cpu-turns.ts";
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
import { type Registry, withInternal } from "../lib/schema/registry.ts";
import type { Postgres } from "../lib/store/database.ts";
import rolloutStream from "../lib/store/rollout-stream.ts";
import { Cors } from "./cors.ts";
import type { Served } from "./front-door.ts";
import { createIngest } from "./ingest.ts";
import { openKeyring } from "./wire-keys.ts";
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
  type Servers,
  sayDoubts,
} from "./wire-process.ts";

/** How long ingest waits for one LPUSH of up to 250 KB, in milliseconds. A sender waits as long. */
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

/**
 * What all large bodies under way in an instance may hold together, in bytes: as sent, inflated, or as their events' texts. They
 * need up to five times as much memory.
 */
const BODIES_MAX_BYTES = 50_000_000;

/** How long a sender that asks where an event is waits for Postgres, in milliseconds. */
const LOOK_UP_TIMEOUT_MS = 5000;

/** The depth at which an instance moves to its next partition, as a multiple of the flush threshold. */
const DEEP_THRESHOLDS = 16;

/** Look-ups have a store of their own, because they give up sooner. */
const openLookUp = (postgres: Postgres) =>
  createLookUp(openStore(postgres, LOOK_UP_TIMEOUT_MS), LOOK_UP_TIMEOUT_MS);

/** The rollout of a build asks for no flush: the supervisor that serves would drain the event by which the build proves another one. */
function openFlush(config: Config, log: Log): Flush {
  const flush = openTrigger(config, log);
  return (partition) => (partition.stream === rolloutStream.name ? noFlush(partition) : flush(partition));
}

function openTrigger(config: Config, log: Log): Flush {
  const { flushTrigger, supervisorUrl, tasksQueue, operatorToken } = config;
  if (flushTrigger === "http" && supervisorUrl) return httpFlush(supervisorUrl, log, operatorToken);
  if (flushTrigger === "tasks" && supervisorUrl && tasksQueue)
    return tasksFlush({ supervisorUrl, queue: tasksQueue, accessToken: metadataToken(monotonicMs), log });
  return noFlush;
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
function openRecords(servers: Servers, log: Log) {
  const redis = servers.redis.within(RECORD_TIMEOUT_MS);
  return {
    usage: new Usage({ push: createBuffer(redis).push, now, monotonicMs, log }),
    refusals: new Refusals({ lists: createRefusalLists(redis), now, monotonicMs, log }),
    throttled: new ThrottledKeys({ monotonicMs, log }),
  };
}

const openRates = (redis: OpenRedis, config: Config, log: Log) =>
  new RateShares({
    askForShares: createLimitShares(redis.within(SHARES_TIMEOUT_MS), randomUUID()),
    buckets: new TokenBuckets(config.keyEventsPerSecond, monotonicMs),
    monotonicMs,
    log,
  });

/** Makes what webhooks need. Secrets are read here, once; doubts about them are logged. */
function openWebhooks(
  streams: Registry,
  redis: ReturnType<OpenRedis["within"]>,
  store: ReturnType<typeof openStore>,
  log: Log,
) {
  const { findVerify, doubts } = openVerifiers(streams, environment);
  for (const doubt of doubts) log.warn("config.doubted", { ...doubt });
  const tally = new WebhookTally({ counts: createWebhookCounts(redis), now, monotonicMs, log });
  return { findVerify, tally, bury: createBury({ store, log }) };
}

/** Makes the ingest function. Whoever does not serve it alone gives it a configuration, and a log. */
export async function wireIngest(
  ofRelease: Registry,
  config = configure(),
  log: Log = createLog({ function: "ingest" }),
): Promise<Served> {
  const streams = withInternal(ofRelease, [rolloutStream]);
  sayDoubts(config, streams, log);
  // Over TCP: those of write-through, and one for look-ups, keys and letters.
  const servers = openServers(config, config.writeThroughConcurrency + 1);
  const store = openStore(servers.postgres, config.insertTimeoutMs);
  const redis = servers.redis.within(PUSH_TIMEOUT_MS);
  const buffer = createBuffer(redis);
  const heldNotes = createHeldNotes(redis);
  const counts = new AnswerCounts(log, monotonicMs);
  const { push, isShedding } = openPusher(config, buffer, log);
  const cors = new Cors(config.corsOrigins);
  const handler = createIngest({
    streams,
    ...openKeyring(servers, config, log),
    isShedding,
    ...openRecords(servers, log),
    accepting: {
      push,
      writeThrough: createWriteThrough(
        store,
        config.writeThroughConcurrency,
        monotonicMs,
        createSayRefused({ tables: openTableCheck(servers.postgres), log, monotonicMs }),
      ),
      setAside: createSetAside({ store, buffer, heldNotes, streams, log }),
    },
    lookUp: openLookUp(servers.postgres),
    rates: openRates(servers.redis, config, log),
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
    onStopped: () => {
      counts.logCounts();
      closeServers(servers);
    },
  };
}
