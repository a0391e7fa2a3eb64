/** Ingest over HTTP in a test's world, wired as functions/wire-ingest.ts does, with the parts that a test may turn. */

import { createHash, randomUUID } from "node:crypto";
import { Cors } from "../../functions/cors.ts";
import { createIngest } from "../../functions/ingest.ts";
import type { Records } from "../../functions/on-record.ts";
import { AddressRates } from "../../lib/access/address-rates.ts";
import { ExpiringKeys } from "../../lib/access/expiring-keys.ts";
import { createKeySource } from "../../lib/access/key-source.ts";
import { Keyring } from "../../lib/access/keyring.ts";
import { RateShares } from "../../lib/access/rate-shares.ts";
import { TokenBuckets } from "../../lib/access/token-bucket.ts";
import { WebhookTally } from "../../lib/access/webhook-tally.ts";
import { openVerifiers } from "../../lib/access/webhook-verifiers.ts";
import { createBuffer } from "../../lib/buffer/buffer.ts";
import { createHeldNotes } from "../../lib/buffer/held-note.ts";
import { createKeyCopy } from "../../lib/buffer/key-copy.ts";
import { createLimitShares } from "../../lib/buffer/limit-shares.ts";
import { connectRedis } from "../../lib/buffer/redis-client.ts";
import { createWebhookCounts } from "../../lib/buffer/webhook-counts.ts";
import { type Config, plainKey } from "../../lib/config.ts";
import { CpuTurns } from "../../lib/flow/cpu-turns.ts";
import { Room } from "../../lib/flow/room.ts";
import { createBury } from "../../lib/ingest/accept-letter.ts";
import { AnswerCounts } from "../../lib/ingest/answer-counts.ts";
import { type Flush, noFlush } from "../../lib/ingest/eager-flush.ts";
import { createLookUp } from "../../lib/ingest/look-up.ts";
import { PartitionChoice } from "../../lib/ingest/partition-choice.ts";
import { createPusher, type Pusher } from "../../lib/ingest/push.ts";
import { createSayRefused } from "../../lib/ingest/say-refused.ts";
import { createSetAside } from "../../lib/ingest/set-aside.ts";
import { createWriteThrough } from "../../lib/ingest/write-through.ts";
import { connect } from "../../lib/store/database.ts";
import { createKeyStore } from "../../lib/store/key-store.ts";
import type { Store } from "../../lib/store/store.ts";
import { createTableCheck } from "../../lib/store/table-check.ts";
import { expectDocumented } from "./documented.ts";
import { KEY, type World } from "./test-stack.ts";

/** Keys beside the world's own: one that may use `leads` only, one of another sender. */
export const LEADS_KEY = "leads-key";
export const OTHER_KEY = "other-key";

export interface Overrides extends Partial<Config> {
  now?: () => number;
  /** The clock of the rates of client addresses. @default performance.now */
  monotonicMs?: () => number;
  flush?: Flush;
  /** Stands for the store of its time limit. */
  store?: Store;
  /** Stands for pushing. */
  push?: Pusher["push"];
  /** Whether the buffer is full. */
  isShedding?: (stream: string) => Promise<boolean>;
  /** The room of all large bodies under way. @default 50 MB */
  room?: Room;
  /** How long one LPUSH may take, in milliseconds. @default 2000 */
  pushTimeoutMs?: number;
  /** The clock of the keys' rates. @default `now` */
  ratesMonotonicMs?: () => number;
  /** How long a call for shares of rates may take, in milliseconds. @default 1000 */
  sharesTimeoutMs?: number;
  /** How long a look-up may take, in milliseconds. @default 2000 */
  lookUpTimeoutMs?: number;
  /** How long a request may take until it is answered, in milliseconds. @default 45000 */
  answerWithinMs?: number;
  /** The environment with the secrets of webhooks. @default none */
  secrets?: Record<string, string>;
  /** How long it waits for Postgres if it has to read the keys there, in milliseconds. @default 4000 */
  keysTimeoutMs?: number;
  /** The clock by which its copy of the keys ages. @default performance.now */
  keysMonotonicMs?: () => number;
  /** The clock by which keys expire. @default `now` */
  keysNow?: () => number;
  /** Puts its answers on record. @default nothing does */
  records?: Partial<Records>;
  /** Depth from which it pushes to the next partition. @default 1600 */
  moveOnAtDepth?: number;
}

export interface Answer {
  status: number;
  headers: Headers;
  // biome-ignore lint/suspicious/noExplicitAny: a test looks into whatever was answered
  body: any;
}

export interface Sending {
  key?: string | undefined;
  query?: string;
  headers?: Record<string, string>;
}

export type Ingest = Awaited<ReturnType<typeof serveIngest>>;

const apiKey = (name: string, key: string, streams?: Set<string>) =>
  plainKey(name, createHash("sha256").update(key).digest(), streams);

/** Serves an ingest instance of its own, which begins with partition 0; `close` it after its last test. */
export async function serveIngest(world: World, overrides: Overrides = {}) {
  const {
    now = Date.now,
    flush = noFlush,
    pushTimeoutMs = 2000,
    answerWithinMs = 45_000,
    moveOnAtDepth = 1600,
    lookUpTimeoutMs = 2000,
    keysTimeoutMs = 4000,
    keysMonotonicMs = () => performance.now(),
    keysNow = now,
    sharesTimeoutMs = 1000,
    ratesMonotonicMs = now,
    ...settings
  } = overrides;
  const config = { ...world.config, ...settings };
  const redis = connectRedis(config, pushTimeoutMs);
  const buffer = createBuffer(redis);
  const database = connect(config.databaseUrl, 2000, config.neonHttpUrl);
  const store = overrides.store ?? world.storeWithin(config.insertTimeoutMs);
  const partitionChoice = new PartitionChoice({
    ...{ partitions: config.partitions, bufferMaxBytes: config.bufferMaxBytes },
    ...{ moveOnAtDepth, measure: buffer.measure, monotonicMs: now, log: world.log, first: 0 },
  });
  const pusher = createPusher({
    ...{ buffer, partitionChoice, flush, flushThreshold: config.flushThreshold, monotonicMs: now },
    log: world.log,
  });
  const cors = new Cors(config.corsOrigins);
  const handler = createIngest({
    streams: world.streams,
    keyring: new Keyring({
      environment: [
        ...config.apiKeys,
        apiKey("leads", LEADS_KEY, new Set(["leads"])),
        apiKey("other", OTHER_KEY),
      ],
      source: createKeySource({
        copy: createKeyCopy(connectRedis(config, 1000)),
        table: createKeyStore(connect(config.databaseUrl, keysTimeoutMs, config.neonHttpUrl), keysTimeoutMs),
      }),
      monotonicMs: keysMonotonicMs,
      log: world.log,
    }),
    expiring: new ExpiringKeys({ now: keysNow, log: world.log }),
    accepting: {
      push: overrides.push ?? pusher.push,
      writeThrough: createWriteThrough(
        store,
        config.writeThroughConcurrency,
        undefined,
        createSayRefused({ tables: createTableCheck(database, 2000, now), log: world.log, monotonicMs: now }),
      ),
      setAside: createSetAside({
        ...{ store, buffer, heldNotes: createHeldNotes(redis) },
        ...{ streams: world.streams, log: world.log },
      }),
    },
    lookUp: createLookUp(overrides.store ?? world.storeWithin(lookUpTimeoutMs), lookUpTimeoutMs),
    rates: new RateShares({
      askForShares: createLimitShares(connectRedis(config, sharesTimeoutMs), randomUUID()),
      buckets: new TokenBuckets(config.keyEventsPerSecond, ratesMonotonicMs),
      monotonicMs: ratesMonotonicMs,
      log: world.log,
    }),
    addresses: new AddressRates(overrides.monotonicMs ?? (() => performance.now())),
    counts: new AnswerCounts(world.log, now),
    webhooks: {
      findVerify: openVerifiers(world.streams, overrides.secrets ?? {}).findVerify,
      tally: new WebhookTally({ counts: createWebhookCounts(redis), now, monotonicMs: now, log: world.log }),
      bury: createBury({ store, log: world.log }),
    },
    usage: { add: () => {}, sendIfDue: () => undefined },
    refusals: { note: () => {}, writeIfDue: () => undefined },
    throttled: { note: () => {} },
    ...overrides.records,
    isShedding: overrides.isShedding ?? pusher.isShedding,
    room: overrides.room ?? new Room(50_000_000),
    turns: new CpuTurns(),
    ...{ now, answerWithinMs },
    ...{ bodyMaxBytes: config.bodyMaxBytes, eventMaxBytes: config.eventMaxBytes },
    ...{ eventsMax: config.eventsMax, cors },
    keyEventsPerSecond: config.keyEventsPerSecond,
  });
  const { url, close } = await world.serve(handler, cors);

  /** Any request; an answer's body is parsed. */
  async function send(path: string, init: RequestInit = {}): Promise<Answer> {
    const response = await fetch(`${url}${path}`, init);
    const text = await response.text();
    const { status, headers } = response;
    const answer = { status, headers, body: text === "" ? undefined : JSON.parse(text) };
    expectDocumented(init.method ?? "GET", path, answer);
    return answer;
  }

  const authorized = (key: string | undefined): Record<string, string> =>
    key === undefined ? {} : { authorization: `Bearer ${key}` };

  /** Posts a body as it is, with a media type. */
  const postRaw = (
    stream: string,
    type: string,
    body: string | Uint8Array<ArrayBuffer>,
    { key = KEY, query = "", headers = {} }: Sending = {},
  ) =>
    send(`/v1/${stream}${query}`, {
      method: "POST",
      body,
      headers: { "content-type": type, ...authorized(key), ...headers },
    });

  /** Posts a value as JSON. */
  const post = (stream: string, value: unknown, sending: Sending = {}) =>
    postRaw(stream, "application/json", JSON.stringify(value), sending);

  /** Asks where an event is. */
  const where = (stream: string, id: string, key = KEY) =>
    send(`/v1/${stream}/${encodeURIComponent(id)}`, { headers: authorized(key) });

  /** Asks where several events are. */
  const whereAll = (stream: string, ids: readonly string[], key = KEY) => {
    const query = new URLSearchParams(ids.map((id): [string, string] => ["id", id]));
    return send(`/v1/${stream}?${query}`, { headers: authorized(key) });
  };

  return { url, close, send, post, postRaw, where, whereAll, isShedding: pusher.isShedding };
}
