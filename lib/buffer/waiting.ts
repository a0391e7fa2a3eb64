/**
 * What waits in Redis, for people who look on: a whole look by one script, and the question by one command whether it has changed.
 *
 * Upstash bills each redis.call of a script, so a look costs about one command for each list that holds something, twice that for each
 * partition, and a few to find them. No one command tells the lengths of several lists. So the question is put in turns: do as many
 * lists exist, are as many partitions held, is this list as long, is the next one?
 */
import type { Redis } from "@upstash/redis";
import { readScript } from "./lua-scripts.ts";
import {
  allPartitions,
  claimedKey,
  claimKey,
  leaseKey,
  PARTITION_COUNT,
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
  lists: { key: string; depth: number }[];
  /** The leases of partitions that have a batch in hand, and how many of them exist. */
  leases: { keys: string[]; count: number };
}

type Reply = [number, number[], (number | string)[], (number | string)[]];

export type WaitingLook = ReturnType<typeof createWaitingLook>;

/** Makes the look at these streams. It throws what Redis's client throws. */
export function createWaitingLook(
  redis: Pick<Redis, "createScript" | "exists" | "llen">,
  streams: readonly string[],
) {
  const script = redis.createScript<Reply>(readScript("look"));
  const groups = groupsOf(streams);
  const allLists = groups.flatMap(({ lists }) => lists);

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
    };
  }

  /** Asks with one command whether something has changed since that look; each `turn` asks after another part of it. */
  async function hasChanged({ lists, leases }: Waiting, turn: number): Promise<boolean> {
    const others = leases.keys.length > 0 ? 2 : 1;
    const place = turn % (lists.length + others);
    const list = lists[place - others];
    if (list !== undefined) return (await redis.llen(list.key)) !== list.depth;
    if (place === 1) return (await redis.exists(...leases.keys)) !== leases.count;
    return allLists.length > 0 && (await redis.exists(...allLists)) !== lists.length;
  }

  return { look, hasChanged };
}

interface Group {
  names: readonly string[];
  lists: string[];
  /** The lists, the leases and the claims, as look.lua has them. */
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
    groups.push({ names, lists, keys: [...lists, ...partitions.map(leaseKey), ...partitions.map(claimKey)] });
  }
  return groups;
}

function parse(names: readonly string[], keys: readonly string[], [, lists, oldest, held]: Reply): Waiting {
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
    streamAt(stream)[kind] += Number(depth);
    if (kind === "claimed") claimed.add(stream * PARTITION_COUNT + (place % PARTITION_COUNT));
    return { key: keys[place] as string, depth: Number(depth) };
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
  return { streams: [...found.values()], lists: existing, leases };
}

const nothingOf = (stream: string): StreamWaiting => ({
  ...{ stream, pending: 0, sealed: 0, claimed: 0 },
  ...{ oldestReceivedAt: undefined, heldPartitions: 0, heldSinceMs: undefined },
});

function* pairsOf(flat: readonly (number | string)[]): Generator<[number, number | string]> {
  for (let i = 0; i + 1 < flat.length; i += 2) yield [Number(flat[i]), flat[i + 1] as number | string];
}
