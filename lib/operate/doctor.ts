/**
 * The answer of `GET /doctor`: every check, always, each with what is seen, what that means, and what to do. It changes nothing, takes no
 * lock, and is over within 10 s, whatever is away.
 *
 * The servers are asked side by side, and each of them one question after another (questions.ts). A check reads answers; one without its
 * answer can't be seen, and hides no other.
 */
import type { Buffer } from "../buffer/buffer.ts";
import type { KeyCopy } from "../buffer/key-copy.ts";
import type { ListSize } from "../buffer/measure.ts";
import type { Pauses } from "../buffer/pauses.ts";
import { isOfRedis, redisFailureOf } from "../buffer/redis-errors.ts";
import type { RedisFacts } from "../buffer/redis-facts.ts";
import type { Partition } from "../buffer/redis-keys.ts";
import type { Doubt } from "../config-doubts.ts";
import type { DoctorReport } from "../contract/doctor.ts";
import type { Registry } from "../schema/registry.ts";
import type { AppliedMigrations } from "../store/applied-migrations.ts";
import type { InsertTimes } from "../store/insert-times.ts";
import type { KeyStore } from "../store/key-store.ts";
import { failureOf } from "../store/postgres-errors.ts";
import type { PostgresFacts, TransactionBounds } from "../store/postgres-facts.ts";
import type { Store } from "../store/store.ts";
import type { TableHealth } from "../store/table-health.ts";
import { type Check, runCheck } from "./finding.ts";
import { keyChecks } from "./key-checks.ts";
import type { LastTick } from "./last-tick.ts";
import { letterChecks, readLetters } from "./letter-checks.ts";
import { reportPause } from "./pause-report.ts";
import { postgresChecks } from "./postgres-checks.ts";
import { Questions } from "./questions.ts";
import { redisChecks } from "./redis-checks.ts";
import { type BufferFacts, type PausedStream, streamChecks } from "./stream-checks.ts";
import { type Migrations, tableChecks } from "./table-checks.ts";

export interface DoctorDeps {
  redis: RedisFacts;
  buffer: Pick<Buffer, "findWork" | "inspect" | "versions">;
  pauses: Pick<Pauses, "find">;
  /** Measures the lists of these partitions. */
  measureLists: (partitions: readonly Partition[]) => Promise<ListSize[]>;
  postgres: PostgresFacts;
  store: Pick<Store, "streamsWithLetters" | "countLetters" | "letterVersions">;
  /** Compares every stream's table with its declaration, anew; undefined: Postgres gave no answer. */
  differences: () => Promise<(readonly string[] | undefined)[]>;
  /** Of the streams' tables and ours. */
  tableHealth: () => Promise<TableHealth[]>;
  appliedMigrations: () => Promise<AppliedMigrations>;
  /** Reads those beside this program. */
  migrations: () => Migrations;
  keys: Pick<KeyStore, "list" | "version">;
  keyCopy: Pick<KeyCopy, "generation">;
  streams: Registry;
  settings: DoctorSettings;
  now: () => number;
  /** A clock that is never set back. */
  monotonicMs: () => number;
}

export interface DoctorSettings {
  /** DRAIN_PAUSED. */
  paused: ReadonlySet<string>;
  /** Settings that are probably not meant. */
  doubts: readonly Doubt[];
  environmentNames: ReadonlySet<string>;
  corsOrigins: readonly string[];
  bufferMaxBytes: number;
  databaseHost: string;
  leaseMs: number;
  insertTimeoutMs: number;
  drainDeadlineMs: number;
  transactions: TransactionBounds;
  lockWaitSeconds: number;
}

/** What this process itself remembers. */
export interface Memory {
  insertTimes: Pick<InsertTimes, "p99">;
  lastTick: Pick<LastTick, "ageMs" | "upMs">;
}

/** Partitions whose lists are measured: the deepest. */
const MEASURED_MAX = 4;
/** A call's last claim may end by so much after its deadline. */
const HELD_SLACK_MS = 20_000;

/** Makes every check once. Never throws. */
export async function examine(deps: DoctorDeps, memory: Memory): Promise<DoctorReport> {
  const beganAtMs = deps.monotonicMs();
  const checks = await Promise.all(checksOf(deps, memory).map(runCheck));
  return { checks, durationMs: Math.round(deps.monotonicMs() - beganAtMs) };
}

/** Asks everything at once, and returns the checks in their order. */
function checksOf(deps: DoctorDeps, { insertTimes, lastTick }: Memory): Check[] {
  const { settings, streams } = deps;
  const nowMs = deps.now();
  const { redis, clock, buffer, pauses, generation } = askRedis(deps);
  const { postgres, differences, applied, letters, keys, version } = askPostgres(deps);
  const heldMaxMs = settings.drainDeadlineMs + HELD_SLACK_MS;
  return [
    ...redisChecks({ redis, nowMs, bufferMaxBytes: settings.bufferMaxBytes }),
    ...postgresChecks({ postgres, redisClock: clock, ...settings }),
    ...tableChecks({ streams, migrations: deps.migrations, differences, applied }),
    ...streamChecks({ streams, lastTick, nowMs, heldMaxMs, spillway: { buffer, pauses } }),
    ...letterChecks({ letters, insertP99: insertTimes.p99(), ...settings }),
    ...keyChecks({ keys, version, generation, nowMs, ...settings }),
  ];
}

/** Every stream that is not drained, and why. */
async function readPauses({ pauses, streams, settings, now }: DoctorDeps): Promise<PausedStream[]> {
  const found = await pauses.find([...streams.keys()]);
  return [...streams.keys()].flatMap((stream) => {
    const paused = reportPause({ paused: settings.paused, now }, stream, found.get(stream));
    return paused === null ? [] : [{ stream, paused }];
  });
}

function askRedis(deps: DoctorDeps) {
  const { redis: facts, keyCopy, measureLists, monotonicMs } = deps;
  const questions = new Questions({ monotonicMs, isAway: isRedisAway });
  const pings = questions.ask(facts.ping);
  const clock = questions.ask(facts.clock);
  const info = questions.ask(facts.info);
  const buffer = questions.ask(() => readBuffer(deps));
  const pauses = questions.ask(() => readPauses(deps));
  const generation = questions.ask(keyCopy.generation);
  const slow = questions.ask(facts.slow);
  const evictionPolicy = questions.ask(
    async () => (await info).get("maxmemory_policy") ?? facts.evictionPolicy(),
  );
  const lists = questions.ask(async () => measureLists(deepest((await buffer).partitions)));
  return { redis: { pings, info, evictionPolicy, slow, lists }, clock, buffer, pauses, generation };
}

/** Redis answers nothing if it does not answer, wants another token, or its quota is used up. */
const isRedisAway = (error: unknown): boolean =>
  isOfRedis(error) && ["connection", "silent", "quota", "misconfigured"].includes(redisFailureOf(error));

async function readBuffer({ buffer, streams }: Pick<DoctorDeps, "buffer" | "streams">): Promise<BufferFacts> {
  const { busy } = await buffer.findWork([...streams.keys()]);
  const [partitions, versions] = await Promise.all([buffer.inspect(busy), buffer.versions(busy)]);
  return { partitions, versions };
}

const deepest = (partitions: BufferFacts["partitions"]): Partition[] =>
  partitions.toSorted((a, b) => b.pending + b.sealed - a.pending - a.sealed).slice(0, MEASURED_MAX);

function askPostgres({ postgres: facts, keys, monotonicMs, ...deps }: DoctorDeps) {
  const questions = new Questions({ monotonicMs, isAway: isPostgresAway });
  const server = questions.ask(facts.server);
  const connections = questions.ask(facts.connections);
  const lockWaits = questions.ask(facts.lockWaits);
  const transactions = questions.ask(() => facts.transactions(deps.settings.transactions));
  const differences = questions.ask(deps.differences);
  const applied = questions.ask(deps.appliedMigrations);
  const rows = questions.ask(keys.list);
  const version = questions.ask(keys.version);
  const letters = questions.ask(() => readLetters(deps.store, deps.streams));
  const tables = questions.ask(deps.tableHealth);
  const size = questions.ask(facts.size);
  const postgres = { server, connections, lockWaits, transactions, tables, size };
  return { postgres, differences, applied, letters, keys: rows, version };
}

/** Postgres answers nothing if it or its proxy does not answer, or refuses the login. */
function isPostgresAway(error: unknown): boolean {
  try {
    const { kind } = failureOf(error);
    return kind === "no-answer" || kind === "misconfigured";
  } catch {
    return false;
  }
}
