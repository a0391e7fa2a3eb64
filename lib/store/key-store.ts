/**
 * The key store: how keys are made, rotated and revoked in Postgres, and read for the copy in Redis.
 *
 * Each change takes the table's lock first and gives its rows a version: the microseconds of Postgres's clock, or one more than the
 * greatest before it. So versions rise in the order in which changes commit, and a table that was restored from an older state never
 * has one again that was given away already. Errors pass through; postgres-errors.ts reads them.
 */
import { and, eq, gt, isNull, or, type SQL, sql } from "drizzle-orm";
import type { ApiKey } from "../config.ts";
import { KEYS_MAX, type KeySet } from "../key-set.ts";
import { apiKeys } from "./api-keys-table.ts";
import { type Database, statementBound } from "./database.ts";

/** What `create` is told of a key. */
export interface NewKey extends Omit<ApiKey, "sha256" | "expiresAt" | "streams"> {
  /** In hex. */
  sha256: string;
  streams: readonly string[] | undefined;
  /** From now; undefined: it never expires. */
  expiresInSeconds: number | undefined;
}

/** A key as people list it. */
export interface KeyRow {
  name: string;
  /** The beginning of its SHA-256, which tells keys of one name apart. */
  digest: string;
  state: "live" | "expired" | "revoked";
  kind: ApiKey["kind"];
  /** Null: all. */
  streams: string[] | null;
  eventsPerSecond: number | null;
  perAddressPerSecond: number | null;
  origins: string[];
  /** RFC 3339, in UTC, as the two that follow. */
  createdAt: string;
  expiresAt: string | null;
  revokedAt: string | null;
}

export type KeyStore = ReturnType<typeof createKeyStore>;

const NEXT_VERSION = sql`(select greatest(coalesce(max(${apiKeys.version}), 0) + 1, (extract(epoch from clock_timestamp()) * 1000000)::bigint) from ${apiKeys})`;
const isUnrevoked = isNull(apiKeys.revokedAt);
const isLive = and(isUnrevoked, or(isNull(apiKeys.expiresAt), gt(apiKeys.expiresAt, sql`now()`))) as SQL;
/** How many expired keys are still told from unknown ones: those that expired last. */
const EXPIRED_IN_COPY = 1000;
/** What the streams and origins of a key take on average at most, so that the copy of all keys stays below 10 MB. */
const LISTS_MEAN_BYTES = 300;

/** Whether one more key may be live. A rotation needs room for two keys of a name. */
const isRoomFor = (keysMax: number): SQL =>
  sql`(select count(*) < ${sql.raw(String(keysMax))} and coalesce(sum(octet_length(concat(streams::text, origins::text))), 0) < ${sql.raw(String(keysMax * LISTS_MEAN_BYTES))} from ${apiKeys} where ${isLive})`;

/** In RFC 3339. */
const utc = (moment: SQL | typeof apiKeys.expiresAt) =>
  sql`to_char(${moment} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`;

const inSeconds = (seconds: number | undefined) =>
  seconds === undefined ? sql`null` : sql`now() + ${String(seconds)}::float8 * interval '1 second'`;

/** Makes a key store on an open database whose client gives up after `timeoutMs`. */
export function createKeyStore(db: Database, timeoutMs: number) {
  /** Runs statements in one transaction, in one round trip. Each sees what committed before it, also while it waited for a lock. */
  async function run(...statements: SQL[]): Promise<Record<string, unknown>[][]> {
    const { query, transaction } = db.$client;
    const all = [statementBound(db, timeoutMs), ...statements.map((statement) => db.execute(statement))];
    const results = await transaction(
      all.map((one) => {
        const { sql: text, params } = one.getQuery();
        return query(text, params);
      }),
      { isolationLevel: "ReadCommitted" },
    );
    return results.slice(1) as Record<string, unknown>[][];
  }

  /** Runs a change alone: versions then commit in their order. */
  const change = (...statements: SQL[]) =>
    run(sql`lock table ${apiKeys} in share row exclusive mode`, ...statements).then((results) =>
      results.slice(1),
    );

  /** Makes a key, unless a live key has its name or there are 5,000. */
  async function create(key: NewKey): Promise<"created" | "taken" | "full"> {
    const { sha256, name, kind, streams, eventsPerSecond, perAddressPerSecond, origins } = key;
    const values = sql`${sha256}, ${name}, ${kind}, ${sql.param(streams ?? null)}::text[], ${eventsPerSecond ?? null}::int, ${perAddressPerSecond ?? null}::int, ${sql.param(origins)}::text[], ${NEXT_VERSION}, clock_timestamp(), ${inSeconds(key.expiresInSeconds)}`;
    const [known = [], made = []] = await change(
      sql`select (count(*) filter (where ${apiKeys.name} = ${name}))::int as taken, count(*)::int as live from ${apiKeys} where ${isLive}`,
      sql`insert into ${apiKeys} (sha256, name, kind, streams, events_per_second, per_address_per_second, origins, version, created_at, expires_at)
        select ${values} where not exists (select from ${apiKeys} where ${isLive} and ${eq(apiKeys.name, name)})
          and ${isRoomFor(KEYS_MAX)}
        returning name`,
    );
    if (made.length > 0) return "created";
    return (known[0]?.taken as number) > 0 ? "taken" : "full";
  }

  /**
   * Makes another key under the name of a live one, with its rights, and lets all that were live expire after `overlapSeconds` at the
   * latest. The new one lives as long as the newest was made to, or as `expiresInSeconds` says.
   */
  async function rotate(
    name: string,
    sha256: string,
    { overlapSeconds, expiresInSeconds }: { overlapSeconds: number; expiresInSeconds: number | undefined },
  ): Promise<"rotated" | "unknown" | "full"> {
    const expiry =
      expiresInSeconds === undefined ? sql`now() + (expires_at - created_at)` : inSeconds(expiresInSeconds);
    const [known = [], made = []] = await change(
      sql`select count(*)::int as live, (count(*) filter (where ${apiKeys.name} = ${name}))::int as named from ${apiKeys} where ${isLive}`,
      sql`with newest as (
          select * from ${apiKeys} where ${isLive} and ${eq(apiKeys.name, name)} order by created_at desc limit 1
        ), next as (select ${NEXT_VERSION} as version), old as (
          update ${apiKeys} set version = next.version, expires_at = least(expires_at, ${inSeconds(overlapSeconds)})
          from next where ${isLive} and ${eq(apiKeys.name, name)} and ${isRoomFor(2 * KEYS_MAX)}
        )
        insert into ${apiKeys} (sha256, name, kind, streams, events_per_second, per_address_per_second, origins, version, created_at, expires_at)
        select ${sha256}, name, kind, streams, events_per_second, per_address_per_second, origins, next.version, clock_timestamp(), ${expiry}
        from newest, next where ${isRoomFor(2 * KEYS_MAX)} returning name`,
    );
    if (made.length > 0) return "rotated";
    return (known[0]?.named as number) > 0 ? "full" : "unknown";
  }

  /** Revokes every key of a name. Returns the SHA-256 in hex of all that the name ever had; none: no key has the name. May be repeated. */
  async function revoke(name: string): Promise<string[]> {
    const [, all = []] = await change(
      sql`update ${apiKeys} set revoked_at = now(), version = ${NEXT_VERSION} where ${isUnrevoked} and ${eq(apiKeys.name, name)}`,
      sql`select sha256 from ${apiKeys} where ${eq(apiKeys.name, name)}`,
    );
    return all.map(({ sha256 }) => sha256 as string);
  }

  /** The version of the last change; 0: there never was a key. */
  async function version(): Promise<number> {
    const [rows = []] = await run(
      sql`select coalesce(max(${apiKeys.version}), 0)::float8 as version from ${apiKeys}`,
    );
    return rows[0]?.version as number;
  }

  /** Reads the keys for the copy: those that may be used, and those that expired lately, of one moment. */
  async function readSet(): Promise<KeySet> {
    const [rows = []] = await run(sql`
      with copied as (
        (select * from ${apiKeys} where ${isLive})
        union all
        (select * from ${apiKeys} where ${isUnrevoked} and not (${isLive}) order by expires_at desc limit ${sql.raw(String(EXPIRED_IN_COPY))})
      )
      select (select coalesce(max(version), 0)::float8 from ${apiKeys}) as version,
        floor(extract(epoch from now()) * 1000)::float8 as read_at_ms,
        (select coalesce(json_agg(json_build_object(
          'name', name, 'sha256', sha256, 'kind', kind, 'streams', streams, 'eventsPerSecond', events_per_second,
          'perAddressPerSecond', per_address_per_second, 'origins', origins, 'expiresAt', ${utc(sql`expires_at`)}
        )), '[]')::text from copied) as keys`);
    const { version, read_at_ms: readAtMs, keys } = rows[0] as Record<string, unknown>;
    return {
      generation: { version: version as number, readAtMs: readAtMs as number },
      keys: (JSON.parse(keys as string) as StoredKey[]).map(apiKeyOf),
    };
  }

  /** Lists every key that there ever was, by name, the newest of a name first. */
  async function list(): Promise<KeyRow[]> {
    const [rows = []] = await run(sql`
      select name, left(sha256, 8) as digest,
        case when ${isLive} then 'live' when ${isUnrevoked} then 'expired' else 'revoked' end as state,
        kind, streams, events_per_second as "eventsPerSecond", per_address_per_second as "perAddressPerSecond", origins,
        ${utc(sql`created_at`)} as "createdAt", ${utc(apiKeys.expiresAt)} as "expiresAt", ${utc(sql`revoked_at`)} as "revokedAt"
      from ${apiKeys} order by name, ${apiKeys.createdAt} desc, sha256`);
    return rows as unknown as KeyRow[];
  }

  return { create, rotate, revoke, version, readSet, list };
}

/** A key as JSON from Postgres. */
interface StoredKey extends Record<"eventsPerSecond" | "perAddressPerSecond", number | null> {
  name: string;
  sha256: string;
  kind: ApiKey["kind"];
  streams: string[] | null;
  origins: string[];
  expiresAt: string | null;
}

const apiKeyOf = (stored: StoredKey): ApiKey => ({
  name: stored.name,
  sha256: Buffer.from(stored.sha256, "hex"),
  kind: stored.kind,
  streams: stored.streams === null ? undefined : new Set(stored.streams),
  eventsPerSecond: stored.eventsPerSecond ?? undefined,
  perAddressPerSecond: stored.perAddressPerSecond ?? undefined,
  origins: stored.origins,
  expiresAt: stored.expiresAt ?? undefined,
});
