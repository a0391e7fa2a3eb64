/**
 * The doctor's part of the composition root. Its clients give up soon, because it must tell the rest while one server hangs, and nothing may
 * be left running after an answer.
 */
import { fileURLToPath } from "node:url";
import { createBuffer } from "../lib/buffer/buffer.ts";
import { createKeyCopy } from "../lib/buffer/key-copy.ts";
import { measureLists } from "../lib/buffer/measure.ts";
import { createPauses } from "../lib/buffer/pauses.ts";
import { createRedisFacts } from "../lib/buffer/redis-facts.ts";
import type { Config } from "../lib/config.ts";
import type { Doubt } from "../lib/config-doubts.ts";
import { findInstallation, type Installation } from "../lib/installation.ts";
import type { DoctorDeps } from "../lib/operate/doctor.ts";
import type { Migrations } from "../lib/operate/table-checks.ts";
import { addressOf } from "../lib/postgres-url.ts";
import type { Registry } from "../lib/schema/registry.ts";
import { readAppliedMigrations } from "../lib/store/applied-migrations.ts";
import { createKeyStore } from "../lib/store/key-store.ts";
import { readJournal } from "../lib/store/migration-journal.ts";
import { createPostgresFacts } from "../lib/store/postgres-facts.ts";
import { createStore } from "../lib/store/store.ts";
import { createTableCheck } from "../lib/store/table-check.ts";
import { readTableHealth } from "../lib/store/table-health.ts";
import type { Servers } from "./wire-process.ts";

/** How long one command and one query may take, in milliseconds. */
const REDIS_TIMEOUT_MS = 2000;
const POSTGRES_TIMEOUT_MS = 2500;

/** A transaction that is open for so long, or idle for so long, is told of, and so is a wait for a lock. In seconds. */
const TRANSACTIONS = { openSeconds: 300, idleSeconds: 60 };
const LOCK_WAIT_SECONDS = 1;

interface Given extends Pick<DoctorDeps, "now" | "monotonicMs"> {
  config: Config;
  servers: Servers;
  streams: Registry;
  doubts: readonly Doubt[];
}

export function openDoctor({ config, servers, streams, doubts, now, monotonicMs }: Given): DoctorDeps {
  const redis = servers.redis.within(REDIS_TIMEOUT_MS);
  const db = servers.postgres.within(POSTGRES_TIMEOUT_MS);
  const { leaseMs, insertTimeoutMs, drainDeadlineMs, bufferMaxBytes, corsOrigins } = config;
  return {
    redis: createRedisFacts(redis, now, monotonicMs),
    buffer: createBuffer(redis),
    pauses: createPauses(redis),
    measureLists: (partitions) => measureLists(redis, partitions),
    postgres: createPostgresFacts(db, POSTGRES_TIMEOUT_MS, now),
    store: createStore(db, POSTGRES_TIMEOUT_MS),
    differences: () =>
      createTableCheck(db, POSTGRES_TIMEOUT_MS, monotonicMs).differencesOfAll([...streams.values()]),
    tableHealth: () => readTableHealth(db, POSTGRES_TIMEOUT_MS, [...streams.values()]),
    appliedMigrations: () => readAppliedMigrations(db, POSTGRES_TIMEOUT_MS),
    migrations: readMigrations,
    keys: createKeyStore(db, POSTGRES_TIMEOUT_MS),
    keyCopy: createKeyCopy(redis),
    streams,
    settings: {
      ...{ leaseMs, insertTimeoutMs, drainDeadlineMs, bufferMaxBytes, corsOrigins, doubts },
      paused: new Set(config.drainPaused),
      environmentNames: new Set(config.apiKeys.map(({ name }) => name)),
      databaseHost: addressOf(config.databaseUrl).host,
      transactions: TRANSACTIONS,
      lockWaitSeconds: LOCK_WAIT_SECONDS,
    },
    now,
    monotonicMs,
  };
}

/** Our migrations beside this program, and those of the working directory's installation; undefined if either is not to be found. */
function readMigrations(): Migrations {
  const ours = readJournal(fileURLToPath(new URL("../drizzle/spillway", import.meta.url))).entries;
  const installation = installationIfAny();
  if (ours.length === 0 || installation === undefined) return undefined;
  const { migrations, names } = installation;
  return { ours, yours: readJournal(migrations).entries, yoursIn: names.migrations };
}

function installationIfAny(): Installation | undefined {
  try {
    return findInstallation();
  } catch {
    return undefined;
  }
}
