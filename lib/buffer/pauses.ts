/**
 * Pauses of streams at run time: while a stream's key exists, claim.lua hands nothing of it out. The key expires by Redis's clock, so a
 * pause ends even if nobody ends it. If Redis loses the key, the drain goes on.
 */
import type { Redis } from "@upstash/redis";
import { readScript } from "./lua-scripts.ts";
import { pausedKey } from "./redis-keys.ts";

/** A pause as Redis holds it. A key that somebody wrote by hand pauses, too, and may say less. */
export interface Pause {
  /** By the clock of whoever paused it; undefined: it does not say. */
  sinceMs: number | undefined;
  /** Undefined: it has no end. */
  endsInMs: number | undefined;
  /** Who paused it last, as far as that is known. */
  by: string | undefined;
  why: string | undefined;
}

export type Pauses = ReturnType<typeof createPauses>;

/** What the pauses use of the client. */
type Client = Pick<Redis, "createScript" | "del" | "mget" | "pipeline">;

/** Makes the moves. Errors of the client pass through. */
export function createPauses(redis: Client, now: () => number = Date.now) {
  const pauseScript = redis.createScript<[value: string, before: string, leftMs: number]>(
    readScript("pause"),
  );

  /** The streams that are paused. One command, and one more for each of them. */
  async function find(streams: readonly string[]): Promise<ReadonlyMap<string, Pause>> {
    if (streams.length === 0) return new Map();
    const values = await redis.mget<(string | null)[]>(...streams.map(pausedKey));
    const found = streams.flatMap((stream, i) => {
      const value = values[i];
      return typeof value === "string" ? [{ stream, value }] : [];
    });
    if (found.length === 0) return new Map();
    const pipeline = redis.pipeline();
    for (const { stream } of found) pipeline.pttl(pausedKey(stream));
    const left = await pipeline.exec<number[]>();
    return new Map(
      found.flatMap(({ stream, value }, i) =>
        left[i] === GONE ? [] : [[stream, parsePause(value, left[i] as number)] as const],
      ),
    );
  }

  /** Pauses a stream from now on, for `forMs`. Returns the pause, and the one that it replaces. May be repeated: the last one counts. */
  async function pause(
    stream: string,
    { forMs, by, why }: { forMs: number } & Pick<Pause, "by" | "why">,
  ): Promise<{ pause: Pause; replaced: Pause | undefined }> {
    const args = [String(now()), JSON.stringify({ by, why }), String(forMs)];
    const [value, before, leftMs] = await pauseScript.exec([pausedKey(stream)], args);
    const replaced = before === "" ? undefined : parsePause(before, leftMs);
    return { pause: parsePause(value, forMs), replaced };
  }

  /** Ends a stream's pause; false: it was not paused. May be repeated. */
  const resume = async (stream: string): Promise<boolean> => (await redis.del(pausedKey(stream))) === 1;

  return { find, pause, resume };
}

/** What PTTL answers of a key that has ended. */
const GONE = -2;

/** Reads a pause's value, and what PTTL says of it. */
export function parsePause(value: string, leftMs: number): Pause {
  const [, sinceMs, about = ""] = /^(\d{1,15}) (.*)$/s.exec(value) ?? [];
  const { by, why } = parseAbout(about);
  return {
    sinceMs: sinceMs === undefined ? undefined : Number(sinceMs),
    endsInMs: leftMs < 0 ? undefined : leftMs,
    by: typeof by === "string" ? by : undefined,
    why: typeof why === "string" ? why : undefined,
  };
}

function parseAbout(text: string): Record<string, unknown> {
  try {
    return Object(JSON.parse(text)) as Record<string, unknown>;
  } catch {
    return {};
  }
}
