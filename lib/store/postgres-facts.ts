/**
 * What Postgres tells of itself, for the doctor: one query on catalogs and statistics for each question, which takes no lock on a table and
 * changes nothing. A role that may not read one of them gets Postgres's refusal for that question. Errors pass through;
 * postgres-errors.ts reads them.
 */
import { type SQL, sql } from "drizzle-orm";
import { type AskedClock, compareClock } from "../asked-clock.ts";
import { type Database, statementBound } from "./database.ts";
import { beginningOf } from "./query-beginning.ts";

export interface ServerFacts extends AskedClock {
  isStandby: boolean;
  isReadOnly: boolean;
  /** How long the answer took, in milliseconds. */
  tookMs: number;
}

export interface ConnectionFacts {
  /** The bounds that there are, each with its use. */
  bounds: { of: string; used: number; max: number }[];
  /** Who has the most. A role's sessions are of state `hidden` if ours may not look into them. */
  holders: { role: string; state: string; count: number }[];
}

/** A session, without any value of its query. */
export interface Session {
  pid: number;
  state: string | null;
  /** How long it has waited, or how old its transaction is; null: this role may not see it. */
  seconds: number | null;
  query: string;
}

export interface LockWait extends Session {
  /** Null: it waits for a transaction, so for a row. */
  relation: string | null;
  blockers: Session[];
}

export interface TransactionFacts {
  /** The oldest first. */
  long: Session[];
  /** Sessions of this database that this role may not look into. */
  hidden: number;
}

export interface TransactionBounds {
  /** From which a transaction is long, in seconds. */
  openSeconds: number;
  /** The same for one in which nothing happens. */
  idleSeconds: number;
}

export interface SizeFacts {
  bytes: number;
  /** Neon's limit; null: there is none to see. */
  maxBytes: number | null;
}

/** What a session does, if this role may see it. Postgres's own text stands for one that it may not. */
const HIDDEN = "<insufficient privilege>";
/** Rows of one answer. */
const ROWS_MAX = 20;

export type PostgresFacts = ReturnType<typeof createPostgresFacts>;

/** Makes the questions on an open database whose client gives up after `timeoutMs`. */
export function createPostgresFacts(db: Database, timeoutMs: number, now: () => number) {
  async function ask<Row>(question: SQL): Promise<Row[]> {
    const [, { rows }] = await db.batch([statementBound(db, timeoutMs), db.execute(question)]);
    return rows as Row[];
  }

  async function server(): Promise<ServerFacts> {
    const sentAtMs = now();
    const [row] = await ask<{ at_ms: number; is_standby: boolean; is_read_only: boolean }>(sql`
      select (extract(epoch from clock_timestamp()) * 1000)::float8 as at_ms, pg_is_in_recovery() as is_standby,
        current_setting('default_transaction_read_only')::bool as is_read_only`);
    const tookMs = Math.max(0, now() - sentAtMs);
    const { at_ms: atMs, is_standby: isStandby, is_read_only: isReadOnly } = row as NonNullable<typeof row>;
    return { isStandby, isReadOnly, tookMs, ...compareClock(atMs, sentAtMs, tookMs) };
  }

  async function connections(): Promise<ConnectionFacts> {
    const [row] = await ask<{ bounds: ConnectionFacts["bounds"]; holders: ConnectionFacts["holders"] }>(sql`
      select json_build_array(
          json_build_object('of', 'the server', 'used', (select sum(numbackends) from pg_stat_database),
            'max', current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
              - coalesce(current_setting('reserved_connections', true)::int, 0)),
          (select json_build_object('of', 'this database', 'used', s.numbackends, 'max', d.datconnlimit)
            from pg_database d join pg_stat_database s on s.datid = d.oid where d.datname = current_database()),
          (select json_build_object('of', 'this role', 'used', count(a.pid), 'max', max(r.rolconnlimit))
            from pg_roles r left join pg_stat_activity a on a.usesysid = r.oid where r.rolname = current_user)
        ) as bounds,
        (select coalesce(json_agg(h), '[]') from (
          select usename as role, coalesce(state, 'hidden') as state, count(*)::int as count from pg_stat_activity
          where datid is not null and usename is not null group by 1, 2 order by 3 desc, 1, 2 limit 3) h) as holders`);
    const { bounds = [], holders = [] } = row ?? {};
    return { bounds: bounds.filter(({ max }) => max >= 0), holders };
  }

  async function lockWaits(): Promise<LockWait[]> {
    const rows = await ask<LockWait>(sql`
      select w.pid, a.state, extract(epoch from clock_timestamp() - w.since)::float8 as seconds, ${textOf("a")} as query, w.relation,
        (select coalesce(json_agg(json_build_object('pid', b.pid, 'state', b.state, 'query', ${textOf("b")},
            'seconds', extract(epoch from clock_timestamp() - b.xact_start)) order by b.xact_start), '[]')
          from pg_stat_activity b where b.pid = any (pg_blocking_pids(w.pid))) as blockers
      from (select pid, min(waitstart) as since, min(case when database = (select oid from pg_database where datname = current_database())
              then relation::regclass::text end) as relation
          from pg_locks where not granted group by pid order by 2 limit ${ROWS_MAX}) w
        left join pg_stat_activity a on a.pid = w.pid
      order by w.since`);
    return rows.map((wait) => ({ ...withBeginning(wait), blockers: wait.blockers.map(withBeginning) }));
  }

  async function transactions({ openSeconds, idleSeconds }: TransactionBounds): Promise<TransactionFacts> {
    const [row] = await ask<TransactionFacts>(sql`
      with others as (
        select pid, state, query, xact_start, state_change from pg_stat_activity
        where datname = current_database() and pid <> pg_backend_pid() and coalesce(backend_type, 'client backend') = 'client backend'
      )
      select (select count(*)::int from others where query = ${HIDDEN}) as hidden,
        (select coalesce(json_agg(json_build_object('pid', pid, 'state', state, 'query', left(query, 400),
            'seconds', extract(epoch from clock_timestamp() - xact_start)) order by xact_start), '[]')
          from (select * from others where xact_start < clock_timestamp() - ${String(openSeconds)}::float8 * interval '1 second'
              or (state like 'idle in transaction%' and state_change < clock_timestamp() - ${String(idleSeconds)}::float8 * interval '1 second')
            order by xact_start limit ${ROWS_MAX}) l) as long`);
    const { long = [], hidden = 0 } = row ?? {};
    return { long: long.map(withBeginning), hidden };
  }

  async function size(): Promise<SizeFacts> {
    const [row] = await ask<{ bytes: number; limit: number | null }>(sql`
      select pg_database_size(current_database())::float8 as bytes,
        pg_size_bytes(nullif(current_setting('neon.max_cluster_size', true), ''))::float8 as limit`);
    const { bytes = 0, limit = null } = row ?? {};
    return { bytes, maxBytes: limit !== null && limit > 0 ? limit : null };
  }

  return { server, connections, lockWaits, transactions, size };
}

/** As much of a session's query as its beginning may take. */
const textOf = (alias: string): SQL => sql.raw(`left(coalesce(${alias}.query, ''), 400)`);

function withBeginning<T extends Session>(session: T): T {
  const { query } = session;
  return { ...session, query: query === HIDDEN || query === "" ? "" : beginningOf(query) };
}
