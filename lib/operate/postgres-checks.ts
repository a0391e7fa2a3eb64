/** The doctor's checks of Postgres: who holds what, what is slow, what is full. */
import type { AskedClock } from "../asked-clock.ts";
import type { Finding } from "../contract/doctor.ts";
import { describeMs } from "../contract/length-of-time.ts";
import type {
  ConnectionFacts,
  LockWait,
  ServerFacts,
  Session,
  SizeFacts,
  TransactionFacts,
} from "../store/postgres-facts.ts";
import type { TableHealth } from "../store/table-health.ts";
import { clocksOf } from "./clock-check.ts";
import { type Check, describeBytes, listed, percent, right, unseen, whyNot, wrong } from "./finding.ts";

export interface PostgresAnswers {
  server: Promise<ServerFacts>;
  connections: Promise<ConnectionFacts>;
  lockWaits: Promise<LockWait[]>;
  transactions: Promise<TransactionFacts>;
  tables: Promise<TableHealth[]>;
  size: Promise<SizeFacts>;
}

interface Context {
  postgres: PostgresAnswers;
  redisClock: Promise<AskedClock>;
  /** The host of DATABASE_URL. */
  databaseHost: string;
  /** From which a wait for a lock is said, in seconds. */
  lockWaitSeconds: number;
}

const NEAR_MS = 500;
const NEARLY = 0.8;
/** Autovacuum comes at 50 and a fifth of a table's rows (Postgres's defaults). Twice that is late, and a small table does no harm. */
const DEAD_MIN = 10_000;
const isLate = ({ live, dead }: TableHealth) => dead >= DEAD_MIN && dead > 2 * (50 + 0.2 * live);

const ACTIVITY = "select * from pg_stat_activity, as a role with pg_read_all_stats";

export function postgresChecks({ postgres, redisClock, databaseHost, lockWaitSeconds }: Context): Check[] {
  const group = "postgres" as const;
  return [
    { group, check: "postgres-ping", where: "Neon's console", look: async () => pinged(postgres) },
    {
      ...{ group, check: "postgres-writable", where: "show default_transaction_read_only" },
      look: async () => writableOf(await postgres.server),
    },
    {
      ...{ group, check: "postgres-connections", where: "Neon's console → Monitoring → connections" },
      look: async () => connectionsOf(await postgres.connections),
    },
    {
      ...{ group, check: "postgres-locks", where: ACTIVITY },
      look: async () => locksOf(await postgres.lockWaits, lockWaitSeconds),
    },
    {
      ...{ group, check: "postgres-transactions", where: ACTIVITY },
      look: async () => transactionsOf(await postgres.transactions),
    },
    {
      ...{ group, check: "postgres-vacuum", where: "select * from pg_stat_user_tables" },
      look: async () => vacuumOf(await postgres.tables),
    },
    {
      ...{ group, check: "postgres-size", where: "Neon's console → the project → Storage" },
      look: async () => sizeOf(await postgres.size),
    },
    { group, check: "postgres-host", where: "DATABASE_URL", look: () => hostOf(databaseHost) },
    {
      group,
      check: "clocks",
      where: "the clocks of the three machines",
      look: () => clocksOf(postgres.server, redisClock),
    },
  ];
}

/** That Postgres is away is wrong, and not only unseen: nothing is stored. */
async function pinged({ server }: PostgresAnswers): Promise<Finding> {
  try {
    const { tookMs } = await server;
    const seen = `it answered in ${describeMs(tookMs)}`;
    if (tookMs <= NEAR_MS) return right(seen, "Postgres is there");
    return right(seen, "Postgres is there; it may have been asleep, or be far away: ask again");
  } catch (error) {
    return wrong(
      `Postgres gives the supervisor no answer, or refuses: ${whyNot(error)}`,
      "nothing is stored; what was accepted waits in Redis, and ingest goes on until the buffer is full",
      "look at the provider's status page, and compare DATABASE_URL (host, database, role, password)",
    );
  }
}

function writableOf({ isStandby, isReadOnly }: ServerFacts): Finding {
  if (!isStandby && !isReadOnly)
    return right("it is a primary, and transactions may write", "inserts are taken");
  return wrong(
    isStandby ? "it is a standby (pg_is_in_recovery)" : "default_transaction_read_only is on",
    "each insert is refused with 25006; what was accepted waits in Redis",
    isStandby
      ? "point DATABASE_URL to the primary; after a failover to the new one"
      : "find out who set it (a provider does so when the disk is full), then: alter database … reset default_transaction_read_only, and alter role … reset …",
  );
}

function connectionsOf({ bounds, holders }: ConnectionFacts): Finding {
  const who = listed(
    holders.map(({ role, state, count }) => `${role} ${count} ${state}`),
    ", ",
  );
  const said = bounds.map(
    ({ of, used, max }) => `${used} of ${max} connections of ${of} are used (${percent(used, max)})`,
  );
  const full = bounds.findIndex(({ used, max }) => used >= max * NEARLY);
  if (full < 0) return right(listed(said), "there is room");
  return wrong(
    `${said[full]}; the most: ${who}`,
    "when they are used up, inserts are refused with 53300, and wait",
    "close what is idle (select pg_terminate_backend(pid) …), give the other programs a pool, or lower DRAIN_CONCURRENCY",
  );
}

const sessionOf = ({ pid, state, seconds, query }: Session): string => {
  const age = seconds === null ? "" : ` for ${describeMs(seconds * 1000)}`;
  return `process ${pid} (${state ?? "hidden"}${age}${query === "" ? "" : `: ${query}`})`;
};

function locksOf(waits: readonly LockWait[], lockWaitSeconds: number): Finding {
  const long = waits.filter(({ seconds }) => (seconds ?? 0) >= lockWaitSeconds);
  if (long.length === 0)
    return right(
      waits.length === 0
        ? "no session waits for a lock"
        : `${waits.length} wait for a lock, none for ${lockWaitSeconds} s`,
      "nobody is in the way",
    );
  const said = long.map(
    (wait) =>
      `${sessionOf(wait)} waits for ${wait.relation ?? "a row"}, blocked by ${listed(wait.blockers.map(sessionOf), ", ") || "a session that ended"}`,
  );
  return wrong(
    listed(said),
    "inserts into that table give up their wait and are tried again; the stream's events wait in Redis, other streams go on",
    `let the blocker end its transaction, or end it: select pg_terminate_backend(${long[0]?.blockers[0]?.pid ?? "PID"})`,
  );
}

function transactionsOf({ long, hidden }: TransactionFacts): Finding {
  if (long.length > 0)
    return wrong(
      listed(long.map(sessionOf)),
      "it keeps its locks, and vacuum can't remove any row that died since it began",
      `find whose it is, and end it: select pg_terminate_backend(${long[0]?.pid})`,
    );
  if (hidden > 0)
    return unseen(
      `this role may not look into ${hidden} sessions of other roles`,
      "grant pg_read_all_stats to this role, or look as another: select * from pg_stat_activity order by xact_start",
    );
  return right("no transaction is long or idle", "nothing keeps locks or dead rows");
}

function vacuumOf(tables: readonly TableHealth[]): Finding {
  const said = ({ table, live, dead, vacuumedSecondsAgo: ago }: TableHealth) =>
    `${table} has ${dead} dead rows beside ${live}, last vacuumed ${ago === null ? "never" : `${describeMs(ago * 1000)} ago`}`;
  const late = tables.filter(isLate);
  const most = tables.toSorted((a, b) => b.dead - a.dead)[0];
  if (late.length === 0)
    return right(
      most === undefined ? "there is no table yet" : `the most: ${said(most)}`,
      "autovacuum keeps up",
    );
  return wrong(
    listed(late.map(said)),
    "the tables and their indexes grow, and inserts get slower",
    `end long transactions (above), see that autovacuum is on for them, then: vacuum ${late[0]?.table}`,
  );
}

function sizeOf({ bytes, maxBytes }: SizeFacts): Finding {
  if (maxBytes === null)
    return unseen(
      `the database has ${describeBytes(bytes)}, and SQL does not tell the room of its disk`,
      "at Neon: its console → the project → Storage; else df on Postgres's host",
    );
  const seen = `the database has ${describeBytes(bytes)}, and Neon's limit for a branch is ${describeBytes(maxBytes)} (${percent(bytes, maxBytes)})`;
  if (bytes < maxBytes * NEARLY) return right(seen, "there is room");
  return wrong(
    seen,
    "at the limit Neon refuses each insert with 53100, and events wait in Redis",
    "delete what is old (spillway prune, partitions that are done), or raise the plan's limit",
  );
}

function hostOf(host: string): Finding {
  if (/-pooler\./.test(host))
    return wrong(
      `DATABASE_URL names ${host}, which is Neon's pooler`,
      "inserts work, but a migration holds a lock of its session, and through the pooler that holds nothing",
      "take -pooler out of the host in DATABASE_URL",
    );
  if (/\.neon\.(tech|build)$/.test(host))
    return right(`DATABASE_URL names ${host}, which is direct`, "migrations may hold their lock");
  if (/^(localhost|127\.0\.0\.1|\[?::1\]?|\/.*)$/.test(host))
    return right(`DATABASE_URL names ${host}`, "it is on this machine");
  return unseen(
    `DATABASE_URL names ${host}, and its name does not say whether a pooler stands before it`,
    "the provider's console: migrations want the direct host, and not one that shares sessions",
  );
}
