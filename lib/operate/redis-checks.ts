/** The doctor's checks of Redis. What Upstash does not tell can't be seen here, and its console has it. */
import type { ListSize } from "../buffer/measure.ts";
import type { RedisInfo, SlowCommand } from "../buffer/redis-facts.ts";
import type { Finding } from "../contract/doctor.ts";
import { describeMs } from "../contract/length-of-time.ts";
import { type Check, describeBytes, listed, percent, right, unseen, wrong } from "./finding.ts";

export interface RedisAnswers {
  /** How long each ping took, the shortest first. */
  pings: Promise<number[]>;
  info: Promise<RedisInfo>;
  /** Undefined: not told. */
  evictionPolicy: Promise<string | undefined>;
  slow: Promise<SlowCommand[]>;
  lists: Promise<ListSize[]>;
}

interface Context {
  redis: RedisAnswers;
  nowMs: number;
  bufferMaxBytes: number;
}

/** A median above this is no neighbour: each batch costs two to four round trips. */
const NEAR_MS = 50;
/** The part of a limit from which on it is said. */
const NEARLY = 0.8;
/** Upstash takes no more into one list (README, Limits); a push past it is refused. */
const LIST_MAX_BYTES = 100_000_000;
/** A command that took longer is told of for an hour: Redis serves nobody else meanwhile. */
const SLOW_MS = 100;
const SLOW_TOLD_MS = 3_600_000;

/** Where to look. */
const CONSOLE = "Upstash's console → the database → ";
const DETAILS = `${CONSOLE}Details`;
const EVICTION = `${CONSOLE}Details → Eviction: it must be off`;
const SIZE = `${CONSOLE}Usage: data size against the plan's limit`;

export function redisChecks({ redis, nowMs, bufferMaxBytes }: Context): Check[] {
  const group = "redis" as const;
  return [
    { group, check: "redis-ping", where: `${CONSOLE}Metrics`, look: async () => pinged(redis) },
    { group, check: "redis-role", where: DETAILS, look: async () => roleOf(await redis.info) },
    {
      ...{ group, check: "redis-eviction", where: EVICTION },
      look: async () => evictionOf(await redis.evictionPolicy),
    },
    {
      ...{
        group,
        check: "redis-persistence",
        where: "nowhere: Upstash always keeps data on disk, and any other Redis tells it in INFO",
      },
      look: async () => persistenceOf(await redis.info),
    },
    {
      ...{ group, check: "redis-memory", where: SIZE },
      look: async () => memoryOf(await redis.info),
    },
    {
      ...{ group, check: "redis-lists", where: "spillway status" },
      look: async () => listsOf(await redis.lists, bufferMaxBytes),
    },
    {
      ...{ group, check: "redis-slow", where: `${CONSOLE}Metrics: latency` },
      look: async () => slowOf(await redis.slow, nowMs),
    },
  ];
}

/** That Redis is away is wrong, and not only unseen: nothing is buffered. */
async function pinged({ pings }: RedisAnswers): Promise<Finding> {
  const took = await pings.catch(() => undefined);
  const median = took?.[Math.ceil(took.length / 2) - 1];
  if (took === undefined || median === undefined) return away;
  const last = took[Math.ceil(took.length * 0.99) - 1] as number;
  const seen = `${took.length} pings: p50 ${describeMs(median)}, p99 ${describeMs(last)}`;
  if (median <= NEAR_MS) return right(seen, "Redis is near");
  return wrong(
    seen,
    "each push and each batch waits for it, so senders wait longer and a drain takes longer",
    "compare the regions of Redis and of the functions; if they are the same, look at the provider's status page",
  );
}

const away = wrong(
  "Redis gives the supervisor no answer, or refuses",
  "nothing is drained, and senders get 201 by write-through, or 503",
  "look at the provider's status page and quota, and compare UPSTASH_REDIS_REST_URL and its token",
);

function roleOf(info: RedisInfo): Finding {
  const role = info.get("role");
  if (role === undefined) return unseen("INFO does not tell the role", DETAILS);
  if (role === "master") return right("its role is master", "it takes writes");
  return wrong(
    `its role is ${role}`,
    "it takes no writes: pushes and claims are refused",
    "point UPSTASH_REDIS_REST_URL to the primary",
  );
}

function evictionOf(policy: string | undefined): Finding {
  if (policy === undefined) return unseen("Redis does not tell its eviction policy", EVICTION);
  if (policy === "noeviction")
    return right("the eviction policy is noeviction", "a full Redis refuses, and deletes nothing");
  return wrong(
    `the eviction policy is ${policy}`,
    "a full Redis deletes events that were acknowledged",
    "set maxmemory-policy to noeviction (at Upstash: switch Eviction off), now",
  );
}

function persistenceOf(info: RedisInfo): Finding {
  const aof = info.get("aof_enabled");
  if (aof === undefined)
    return unseen(
      "INFO tells nothing of persistence",
      "nothing at Upstash, which always keeps data on disk; else ask redis-cli INFO persistence",
    );
  if (aof !== "1")
    return wrong(
      "the append-only file is off",
      "a restart of Redis loses events that were acknowledged",
      "set appendonly yes (redis-cli CONFIG SET appendonly yes, and in its configuration)",
    );
  if (info.get("aof_last_write_status") === "err")
    return wrong(
      "the last write to the append-only file failed",
      "Redis refuses writes, and a restart loses events",
      "look at the disk of Redis's host: it is full or broken",
    );
  return right("the append-only file is on, and its last write ended well", "a restart keeps the events");
}

function memoryOf(info: RedisInfo): Finding {
  const used = Number(info.get("used_memory"));
  const max = Number(info.get("maxmemory"));
  if (Number.isNaN(used) || info.get("maxmemory") === undefined)
    return unseen("INFO does not tell the memory and its limit", SIZE);
  if (max === 0)
    return right(`${describeBytes(used)} are used, and no limit is set`, "the machine's memory is the limit");
  const seen = `${describeBytes(used)} of ${describeBytes(max)} are used (${percent(used, max)})`;
  if (used < max * NEARLY) return right(seen, "there is room");
  return wrong(
    seen,
    "a full Redis refuses pushes: ingest then writes through or sheds",
    "find out why events wait (spillway status), drain them, or raise the limit",
  );
}

function listsOf(lists: readonly ListSize[], bufferMaxBytes: number): Finding {
  const largest = lists.toSorted((a, b) => b.bytes - a.bytes)[0];
  if (largest === undefined || largest.depth === 0) return right("no list holds anything", "nothing waits");
  const maxOf = ({ list }: ListSize) =>
    list === "pending" ? Math.min(bufferMaxBytes, LIST_MAX_BYTES) : LIST_MAX_BYTES;
  const said = (one: ListSize) =>
    `${one.list} ${one.index} of ${one.stream} holds ${one.depth} events, about ${describeBytes(one.bytes)} of ${describeBytes(maxOf(one))}`;
  const full = lists.filter((one) => one.bytes >= maxOf(one) * NEARLY);
  if (full.length === 0) return right(`the largest: ${said(largest)}`, "there is room in each list");
  return wrong(
    listed(full.map(said)),
    "at the limit ingest goes to another partition, and sheds with 503 when all are full",
    "find out why they are not drained: the checks below say it, and spillway status",
  );
}

function slowOf(commands: readonly SlowCommand[], nowMs: number): Finding {
  const slow = commands.filter(({ atMs, tookMs }) => tookMs >= SLOW_MS && nowMs - atMs < SLOW_TOLD_MS);
  if (slow.length === 0)
    return right(
      `no command took ${SLOW_MS} ms or more in the last hour`,
      "no command kept the others waiting",
    );
  return wrong(
    listed(
      slow.map(
        ({ name, tookMs, atMs }) =>
          `${name} took ${describeMs(tookMs)}, ${describeMs(Math.max(0, nowMs - atMs))} ago`,
      ),
    ),
    "Redis ran nothing else meanwhile: pushes and claims waited",
    "if it is a script of ours, look at the size of the lists and at Redis's CPU; else find who sends that command to this Redis",
  );
}
