/**
 * The copy of the keys in Redis: all that may be used, with all that ingest needs of each. Postgres is the authority
 * (lib/store/key-store.ts); whoever changes it replaces the copy in the same step.
 *
 * A hash and no string beside it: so whoever reads it has keys and generation of one moment.
 */
import type { Redis } from "@upstash/redis";
import type { ApiKey } from "../config.ts";
import { type Generation, type KeySet, parseGeneration, textOfGeneration } from "../key-set.ts";
import { readScript } from "./lua-scripts.ts";
import { redisFailureOf } from "./redis-errors.ts";
import { KEYS_KEY, KEYS_REBUILD_KEY } from "./redis-keys.ts";

/** What the copy uses of the client. */
type Client = Pick<Redis, "createScript" | "hget" | "hgetall" | "hmget" | "set">;

const GENERATION = "generation";

export type KeyCopy = ReturnType<typeof createKeyCopy>;

/** Makes the moves of the copy. Errors of the client pass through (redis-errors.ts reads them). */
export function createKeyCopy(redis: Client) {
  const replaceScript = redis.createScript<string>(readScript("replace-keys"));

  /** The text of the copy's generation; "": there is no copy. One command. */
  async function generation(): Promise<string> {
    try {
      return (await askAgain(() => redis.hget<string>(KEYS_KEY, GENERATION))) ?? "";
    } catch (error) {
      return emptyIfForeign(error, "");
    }
  }

  /** Reads the whole copy; undefined: there is none, or none that this release can read. One command. */
  async function read(): Promise<KeySet | undefined> {
    try {
      // The client gives a list, because its deserialisation is off.
      return parseCopy((await askAgain(() => redis.hgetall(KEYS_KEY))) as unknown as string[]);
    } catch (error) {
      return emptyIfForeign(error, undefined);
    }
  }

  /**
   * Replaces the copy, if its generation is still the one that was `seen` before the set was read from Postgres. Returns the text of the
   * generation that is there now. May be repeated.
   */
  async function replace(seen: string, { generation: made, keys }: KeySet): Promise<string> {
    const texts = keys.flatMap((key) => [key.sha256.toString("hex"), textOfKey(key)]);
    return askAgain(() => replaceScript.exec([KEYS_KEY], [seen, textOfGeneration(made), ...texts]));
  }

  /** Whether the caller is the one that makes the copy anew: the first to ask within `forMs` milliseconds. */
  async function takeRebuild(forMs: number): Promise<boolean> {
    return (await redis.set(KEYS_REBUILD_KEY, "1", { nx: true, px: forMs })) !== null;
  }

  /** Whether there is a copy, and none of these keys (SHA-256 in hex) is in it. */
  async function lacks(digests: readonly string[]): Promise<boolean> {
    const reply = (await askAgain(() => redis.hmget(KEYS_KEY, GENERATION, ...digests))) as unknown;
    const [made, ...found] = reply as unknown[];
    return made !== null && found.every((text) => text === null);
  }

  return { generation, read, replace, takeRebuild, lacks };
}

/**
 * Asks once more at once if the connection broke: that of before a pause of the process is dead, and a revoked key must not pass because
 * of it. For what may be repeated.
 */
async function askAgain<Answer>(ask: () => Promise<Answer>): Promise<Answer> {
  try {
    return await ask();
  } catch (error) {
    if (redisFailureOf(error) !== "connection") throw error;
    return ask();
  }
}

/** A key of another type is no copy of ours: the next one who replaces the copy makes it anew. */
function emptyIfForeign<Empty>(error: unknown, empty: Empty): Empty {
  if (redisFailureOf(error) === "misconfigured") return empty;
  throw error;
}

/** What Redis holds of a key, with short names: an instance reads up to 5,000 of them. */
interface KeyText {
  name: string;
  kind: ApiKey["kind"];
  streams?: string[];
  rate?: number;
  addressRate?: number;
  origins?: string[];
  expires?: string;
}

function textOfKey(key: ApiKey): string {
  const { name, kind, streams, eventsPerSecond, perAddressPerSecond, origins, expiresAt } = key;
  const text: KeyText = { name, kind };
  if (streams !== undefined) text.streams = [...streams];
  if (eventsPerSecond !== undefined) text.rate = eventsPerSecond;
  if (perAddressPerSecond !== undefined) text.addressRate = perAddressPerSecond;
  if (origins.length > 0) text.origins = [...origins];
  if (expiresAt !== undefined) text.expires = expiresAt;
  return JSON.stringify(text);
}

function parseKey(digest: string, text: string): ApiKey {
  const { name, kind, streams, rate, addressRate, origins = [], expires } = JSON.parse(text) as KeyText;
  if (typeof name !== "string" || (kind !== "secret" && kind !== "public") || !/^[0-9a-f]{64}$/.test(digest))
    throw new SyntaxError("expected a key");
  return {
    name,
    sha256: Buffer.from(digest, "hex"),
    kind,
    streams: streams && new Set(streams),
    eventsPerSecond: rate,
    perAddressPerSecond: addressRate,
    origins,
    expiresAt: expires,
  };
}

function parseCopy(fields: readonly string[]): KeySet | undefined {
  let generation: Generation | undefined;
  const keys: ApiKey[] = [];
  try {
    for (let i = 0; i + 1 < fields.length; i += 2) {
      const [field, text] = [fields[i] as string, fields[i + 1] as string];
      if (field === GENERATION) generation = parseGeneration(text);
      else keys.push(parseKey(field, text));
    }
  } catch {
    return undefined; // not written by this program
  }
  return generation && { generation, keys };
}
