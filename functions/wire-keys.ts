/** The keys' part of the composition root (wire-ingest.ts, wire-supervisor.ts): the keyring of an ingest instance, and the commands of the supervisor. */
import { ExpiringKeys } from "../lib/access/expiring-keys.ts";
import { newKey } from "../lib/access/key-format.ts";
import { createKeySource } from "../lib/access/key-source.ts";
import { Keyring } from "../lib/access/keyring.ts";
import { renewCopy } from "../lib/access/renew-copy.ts";
import { createKeyCopy } from "../lib/buffer/key-copy.ts";
import type { OpenRedis } from "../lib/buffer/redis-client.ts";
import type { Config } from "../lib/config.ts";
import type { Log } from "../lib/log.ts";
import { createKeyMender } from "../lib/operate/mend-keys.ts";
import type { Registry } from "../lib/schema/registry.ts";
import type { Postgres } from "../lib/store/database.ts";
import { createKeyStore } from "../lib/store/key-store.ts";
import { monotonicMs, now, type Servers } from "./wire-process.ts";

/** How long ingest waits for Redis, and for Postgres, if it has to ask for the keys, in milliseconds. A sender waits as long. */
const REDIS_TIMEOUT_MS = 1000;
const POSTGRES_TIMEOUT_MS = 4000;

const openStore = (postgres: Postgres, timeoutMs: number) =>
  createKeyStore(postgres.within(timeoutMs), timeoutMs);

/** Opens what ingest knows of keys. It has a client of Redis of its own, because a request that waits for a key must not wait for long. */
export function openKeyring({ redis, postgres }: Servers, config: Config, log: Log) {
  const source = createKeySource({
    copy: createKeyCopy(redis.within(REDIS_TIMEOUT_MS)),
    table: openStore(postgres, POSTGRES_TIMEOUT_MS),
  });
  return {
    keyring: new Keyring({ environment: config.apiKeys, source, monotonicMs, log }),
    expiring: new ExpiringKeys({ now, log }),
  };
}

interface Given {
  config: Config;
  redis: ReturnType<OpenRedis["within"]>;
  postgres: Postgres;
  streams: Registry;
  log: Log;
}

/** Opens the supervisor's commands on keys, and what mends the copy after a drain call. */
export function openKeyCommands({ config, redis, postgres, streams, log }: Given) {
  const keys = openStore(postgres, config.insertTimeoutMs);
  const keyCopy = createKeyCopy(redis);
  const renewKeyCopy = () => renewCopy({ copy: keyCopy, table: keys });
  const environmentNames = new Set(config.apiKeys.map(({ name }) => name));
  return {
    keyCommands: { keys, keyCopy, renewKeyCopy, newKey, streams, environmentNames, log },
    mendKeys: createKeyMender({ keys, keyCopy, renewKeyCopy, monotonicMs, log }),
  };
}
