/** Held letters at the end of a simulation: their pauses are ended, and other events bear witness, until none is held. */
import { Redis } from "ioredis";
import type { Stack } from "../stack/stack.ts";
import { isBad, STREAMS, type StreamName } from "./events.ts";
import { type Post, sendPost, type Target } from "./load.ts";
import { connect } from "./tables.ts";

type Servers = Pick<Stack, "databaseUrl" | "redisUrl">;

/** Where Redis notes when the next held letter is due. */
const HELD_KEY = "{spillway}:held";

/**
 * Rounds at most, rounds without any change after which held letters are given up, and a round's witnesses of each stream. A round may settle
 * one letter alone: where a page broke its connection, each of its letters is tried alone, and the first that breaks it ends the call's tries.
 */
const ROUNDS = 60;
const IDLE_ROUNDS = 5;
const WITNESSES = 3;
/** Numbers of events that witnesses may take; one in some is bad, and left out. */
export const WITNESSES_MAX = ROUNDS * WITNESSES * STREAMS.length * 2;

/** Ends the pauses of held letters, or of those with fewer refusals than `below`, in Postgres and in Redis's note. */
export async function hastenHeld(servers: Servers, { below }: { below?: number } = {}): Promise<void> {
  const sql = await connect(servers.databaseUrl);
  const redis = new Redis(servers.redisUrl);
  try {
    await sql.query(
      "update dead_letters set retry_at = now() where retry_at > now() and tries < coalesce($1, tries + 1)",
      [below],
    );
    if (await redis.exists(HELD_KEY)) await redis.hset(HELD_KEY, { dueAtMs: "0" });
  } finally {
    await sql.end();
    redis.disconnect();
  }
}

/** Tries held letters until none is held, or nothing changes any more. `first`: the number of the first witness. */
export async function settleHeld(
  servers: Servers,
  target: Target,
  first: number,
  drain: () => Promise<void>,
): Promise<void> {
  let next = first;
  let idle = 0;
  let before = -1;
  for (let round = 0; round < ROUNDS; round++) {
    const held = await countHeld(servers);
    idle = held === before ? idle + 1 : 0;
    if (held === 0 || idle === IDLE_ROUNDS) return;
    before = held;
    console.log(`${held} letters are held: their pauses are ended, and witnesses are sent`);
    for (const stream of STREAMS)
      for (let i = 0; i < WITNESSES; i++, next++) {
        while (isBad(stream, next)) next++;
        await sendPost(target, witnessOf(stream, next));
      }
    await hastenHeld(servers); // before the witnesses are drained, so that one call meets both
    await drain();
  }
}

const witnessOf = (stream: StreamName, first: number): Post => ({
  ...{ stream, first, count: 1, withOwnIds: false, ack: "buffered" },
});

async function countHeld({ databaseUrl }: Servers): Promise<number> {
  const sql = await connect(databaseUrl);
  try {
    const { rows } = await sql.query(
      "select count(*)::int as held from dead_letters where retry_at is not null",
    );
    return rows[0].held;
  } finally {
    await sql.end();
  }
}
