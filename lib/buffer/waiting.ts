/**
 * What waits in Redis and which streams are paused, for people who look on: a whole look by one script, and the question by one command
 * whether it has changed.
 *
 * Upstash bills each redis.call of a script, so a look costs about one command for each list that holds something, twice that for each
 * partition, and a few to find them. No one command tells the lengths of several lists. So the question is put in turns. Each third one is: do
 * as many lists and pauses exist? Between them: are as many partitions held, does this pause end when it did, is this list as long, the next one?
 */
import type { Redis } from "@upstash/redis";
import { readScript } from "./lua-scripts.ts";
import { type Pause, parsePause } from "./pauses.ts";
import {
  allPartitions,
  claimedKey,
  claimKey,
  leaseKey,
  PARTITION_COUNT,
  pausedKey,
  pendingKey,
  sealedKey,
} from "./redis-keys.ts";

/** The streams of one script: Lua's stack takes some 8,000 keys. */
const STREAMS_AT_ONCE = 100;
const KINDS = ["pending", "sealed", "claimed"] as const;
const keyOfKind = { pending: pendingKey, sealed: sealedKey, claimed: claimedKey };

/** What waits in one stream. */
export interface StreamWaiting {
  stream: string;
  pending: number;
  sealed: number;
  claimed: number;
  /** When the oldest of each partition was received, RFC 3339; of a foreign text nothing is known. */
  oldestReceivedAt: string | undefined;
  /** Partitions that a drain call holds with a batch in hand. */
  heldPartitions: number;
  /** Since when the longest of them is held, in milliseconds. */
  heldSinceMs: number | undefined;
}

/** The result of a look. */
export interface Waiting {
  /** Those of which something waits. */
  streams: StreamWaiting[];
  /** The lists that exist. */
  lists: { key: string; stream: string; depth: number }[];
  /** The leases of partitions that have a batch in hand, and how many of them exist. */
  leases: { keys: string[]; count: number };
  /** The streams that are paused at run time, each as it was at that moment. */
  pauses: ReadonlyMap<string, Pause>;
  /** When this was read, by the clock of whoever looked, in milliseconds. */
  readAtMs: number;
}

type Flat = (number | string)[];
type Reply = [calls: number, lists: number[], oldest: Flat, held: Flat, pauses: Flat];

/** Each so many turns the question is whether as many keys exist. */
const EXISTENCE_EACH = 3;
/** An end that differs by less is the same: clocks and answers are not that exact. */
const SAME_END_MS = 1500;

export type WaitingLook = ReturnType<typeof createWaitingLook>;

/** Makes the look at these streams. It throws what Redis's client throws. */
export function createWaitingLook(
  redis: Pick<Redis, "createScript" | "exists" | "llen" | "pttl">,
  streams: readonly string[],
  now: () => number = Date.now,
) {
  const script = redis.createScript<Reply>(readScript("look"));
  const groups = groupsOf(streams);
  const allKeys = groups.flatMap(({ names, lists }) => [...lists, ...names.map(pausedKey)]);

  /** Looks at everything. */
  async function look(): Promise<Waiting> {
    const looked = await Promise.all(
      groups.map(async ({ names, lists, keys }) =>
        parse(names, lists, await script.exec(keys, [String(PARTITION_COUNT)])),
      ),
    );
    return {
      streams: looked.flatMap((one) => one.streams),
      lists: looked.flatMap((one) => one.lists),
      leases: {
        keys: looked.flatMap((one) => one.leases.keys),
        count: looked.reduce((sum, one) => sum + one.leases.count, 0),
      },
      pauses: new Map(looked.flatMap((one) => [...one.pauses])),
      readAtMs: now(),
    };
  }

  /** Asks with one command whether something has changed since that look; each `turn`, counted from 0, asks after another part of it. */
  async function hasChanged({ lists, leases, pauses, readAtMs }: Waiting, turn: number): Promise<boolean> {
    const parts = (leases.keys.length > 0 ? 1 : 0) + pauses.size + lists.length;
    if (parts === 0 || turn % EXISTENCE_EACH === 0)
      return allKeys.length > 0 && (await redis.exists(...allKeys)) !== lists.length + pauses.size;
    const part = (turn - 1 - Math.floor(turn / EXISTENCE_EACH)) % parts;
    const list = lists[part];
    if (list !== undefined) return (await redis.llen(list.key)) !== list.depth;
    const paused = [...pauses][part - lists.length];
    if (paused === undefined) return (await redis.exists(...leases.keys)) !== leases.count;
    const [stream, { endsInMs }] = paused;
    return isAnotherEnd(endsInMs, await redis.pttl(pausedKey(stream)), now() - readAtMs);
  }

  return { look, hasChanged };
}

interface Group {
  names: readonly string[];
  lists: string[];
  /** The lists, the leases, the claims and the pauses, as look.lua has them. */
  keys: string[];
}

function groupsOf(streams: readonly string[]): Group[] {
  const groups: Group[] = [];
  for (let first = 0; first < streams.length; first += STREAMS_AT_ONCE) {
    const names = streams.slice(first, first + STREAMS_AT_ONCE);
    const lists = names.flatMap((name) =>
      KINDS.flatMap((kind) => allPartitions([name]).map(keyOfKind[kind])),
    );
    const partitions = allPartitions(names);
    const others = [...partitions.map(leaseKey), ...partitions.map(claimKey), ...names.map(pausedKey)];
    groups.push({ names, lists, keys: [...lists, ...others] });
  }
  return groups;
}

function parse(
  names: readonly string[],
  keys: readonly string[],
  [, lists, oldest, held, pauses]: Reply,
): Omit<Waiting, "readAtMs"> {
  const found = new Map<string, StreamWaiting>();
  const streamAt = (index: number): StreamWaiting => {
    const stream = names[index] as string;
    const known = found.get(stream) ?? nothingOf(stream);
    found.set(stream, known);
    return known;
  };
  const ofPartition = (partition: number) => streamAt(Math.floor(partition / PARTITION_COUNT));
  const claimed = new Set<number>();
  const existing = [...pairsOf(lists)].map(([place, depth]) => {
    const list = Math.floor(place / PARTITION_COUNT);
    const kind = KINDS[list % KINDS.length] as (typeof KINDS)[number];
    const stream = Math.floor(list / KINDS.length);
    const found = streamAt(stream);
    found[kind] += Number(depth);
    if (kind === "claimed") claimed.add(stream * PARTITION_COUNT + (place % PARTITION_COUNT));
    return { key: keys[place] as string, stream: found.stream, depth: Number(depth) };
  });
  for (const [partition, receivedAt] of pairsOf(oldest)) {
    const one = ofPartition(partition);
    const at = String(receivedAt);
    if (at !== "" && (one.oldestReceivedAt === undefined || at < one.oldestReceivedAt))
      one.oldestReceivedAt = at;
  }
  for (const [partition, sinceMs] of pairsOf(held)) {
    const one = ofPartition(partition);
    one.heldPartitions += 1;
    if (sinceMs !== "") one.heldSinceMs = Math.min(Number(sinceMs), one.heldSinceMs ?? Number(sinceMs));
  }
  const inHand = allPartitions(names).filter((_, partition) => claimed.has(partition));
  const leases = { keys: inHand.map(leaseKey), count: held.length / 2 };
  return { streams: [...found.values()], lists: existing, leases, pauses: pausesIn(names, pauses) };
}

function pausesIn(names: readonly string[], flat: Flat): Map<string, Pause> {
  const found = new Map<string, Pause>();
  for (let i = 0; i + 2 < flat.length; i += 3)
    found.set(names[Number(flat[i])] as string, parsePause(String(flat[i + 1]), Number(flat[i + 2])));
  return found;
}

/** Whether a pause ends at another moment than it did. `passedMs`: since it was read. PTTL is below 0 if there is no end, or no pause. */
function isAnotherEnd(endsInMs: number | undefined, leftMs: number, passedMs: number): boolean {
  if (endsInMs === undefined || leftMs < 0) return endsInMs !== undefined || leftMs !== NO_END;
  return Math.abs(endsInMs - passedMs - leftMs) > SAME_END_MS;
}

/** What PTTL answers of a key that has no end. */
const NO_END = -1;

const nothingOf = (stream: string): StreamWaiting => ({
  ...{ stream, pending: 0, sealed: 0, claimed: 0 },
  ...{ oldestReceivedAt: undefined, heldPartitions: 0, heldSinceMs: undefined },
});

function* pairsOf(flat: readonly (number | string)[]): Generator<[number, number | string]> {
  for (let i = 0; i + 1 < flat.length; i += 2) yield [Number(flat[i]), flat[i + 1] as number | string];
}
