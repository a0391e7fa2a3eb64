/**
 * What Redis tells of itself, for the doctor: 13 commands, or 14 where INFO does not tell the eviction policy. Nothing is changed. Errors of the
 * client pass through.
 *
 * Upstash tells less than Redis does: it has INFO with some sections, TIME and CONFIG GET, and refuses SLOWLOG
 * (upstash.com/docs/redis/commands/server/overview).
 */
import { createHash } from "node:crypto";
import type { Redis } from "@upstash/redis";
import { type AskedClock, compareClock } from "../asked-clock.ts";
import { readScript, SCRIPTS, type ScriptName } from "./lua-scripts.ts";

type Client = Pick<Redis, "exec" | "ping" | "time">;

/** The lines of INFO, by their names. */
export type RedisInfo = ReadonlyMap<string, string>;

/** A command that Redis remembers as slow. */
export interface SlowCommand {
  /** The command's name, or that of our script: no argument. */
  name: string;
  /** When it ran, by Redis's clock, in milliseconds. */
  atMs: number;
  tookMs: number;
}

const PINGS = 10;
/** After this no further ping is sent, in milliseconds. */
const PINGS_MAX_MS = 1000;
const SLOW_MAX = 16;

export type RedisFacts = ReturnType<typeof createRedisFacts>;

/** `monotonicMs`: a clock that is never set back. */
export function createRedisFacts(redis: Client, now: () => number, monotonicMs: () => number) {
  /** Pings up to ten times within a second, and returns how long each took, in milliseconds, the shortest first. */
  async function ping(): Promise<number[]> {
    const took: number[] = [];
    const startedAtMs = monotonicMs();
    while (took.length < PINGS && monotonicMs() - startedAtMs < PINGS_MAX_MS) {
      const sentAtMs = monotonicMs();
      await redis.ping();
      took.push(monotonicMs() - sentAtMs);
    }
    return took.sort((a, b) => a - b);
  }

  async function info(): Promise<RedisInfo> {
    const text = await redis.exec<string>(["INFO"]);
    return new Map(
      [...text.matchAll(/^([a-z][\w-]*):(.*?)\r?$/gm)].map(([, name = "", value = ""]) => [name, value]),
    );
  }

  /** The eviction policy, where INFO does not tell it; undefined: CONFIG GET does not either. */
  async function evictionPolicy(): Promise<string | undefined> {
    return (await redis.exec<string[]>(["CONFIG", "GET", "maxmemory-policy"]))[1];
  }

  async function clock(): Promise<AskedClock> {
    const sentAtMs = now();
    const [seconds, micros] = await redis.time();
    const tookMs = Math.max(0, now() - sentAtMs);
    return compareClock(Number(seconds) * 1000 + Number(micros) / 1000, sentAtMs, tookMs);
  }

  /** The last slow commands that Redis remembers (`slowlog-log-slower-than`), the newest first. */
  async function slow(): Promise<SlowCommand[]> {
    const entries = await redis.exec<[number, number, number, string[]][]>([
      "SLOWLOG",
      "GET",
      String(SLOW_MAX),
    ]);
    const ours = hashScripts();
    return entries.map(([, atSeconds, tookMicros, args]) => ({
      name: nameOf(args, ours),
      atMs: atSeconds * 1000,
      tookMs: tookMicros / 1000,
    }));
  }

  return { ping, info, evictionPolicy, clock, slow };
}

const hashScripts = () =>
  new Map(SCRIPTS.map((name) => [createHash("sha1").update(readScript(name)).digest("hex"), name]));

/** Our scripts are sent by their SHA-1, or as text that begins with their name. */
function nameOf(
  [command = "", script = ""]: readonly string[],
  ours: ReadonlyMap<string, ScriptName>,
): string {
  const upper = command.toUpperCase();
  if (!/^[A-Z.]{1,32}$/.test(upper)) return "a command";
  if (!upper.startsWith("EVAL")) return upper;
  const begun = /^-- ([a-z-]+):/.exec(script)?.[1];
  const found = ours.get(script.toLowerCase()) ?? SCRIPTS.find((name) => name === begun);
  return found === undefined ? upper : `the script ${found}.lua`;
}
