/** Looks at Postgres and Redis while a surge runs: sessions, rows, and what waits in the buffer. */
import { setTimeout as sleep } from "node:timers/promises";
import { allPartitions, listKeys } from "../../lib/buffer/redis-keys.ts";
import type { SurgeSecond } from "../../lib/contract/surge.ts";
import type { Place } from "./place.ts";

export type Seen = Pick<SurgeSecond, "connections" | "connectionsMax" | "stored" | "waiting">;

/** A busy Postgres answers late; a line is told by then all the same, with what was seen last. */
const LOOK_MS = 700;

export class Watch {
  readonly #place: Place;
  readonly #table: string;
  readonly #keys: string[];
  #seen: Seen = { connections: 0, connectionsMax: 0, stored: 0, waiting: 0 };
  #looking: Promise<Seen> | undefined;

  /** Watches a table, and the buffer of the stream of that name. */
  constructor(place: Place, table: string) {
    this.#place = place;
    this.#table = table;
    this.#keys = allPartitions([table]).flatMap(listKeys);
  }

  /** What is there now; after 700 ms, what was there at the last look. */
  async lookSoon(): Promise<Seen> {
    const late = new AbortController();
    const lateSeen = sleep(LOOK_MS, undefined, { signal: late.signal }).catch(() => {});
    await Promise.race([this.look().catch(() => {}), lateSeen]);
    late.abort();
    return this.#seen;
  }

  /** What is there now. One look is under way at a time. */
  look(): Promise<Seen> {
    this.#looking ??= this.#look().finally(() => {
      this.#looking = undefined;
    });
    return this.#looking;
  }

  async #look(): Promise<Seen> {
    const [postgres, waiting] = await Promise.all([this.#askPostgres(), this.#countWaiting()]);
    this.#seen = { ...postgres, waiting };
    return this.#seen;
  }

  async #askPostgres(): Promise<Omit<Seen, "waiting">> {
    const { rows } = await this.#place.sql.query<Omit<Seen, "waiting">>(
      `select (select count(*) from pg_stat_activity where backend_type = 'client backend')::int as connections,
              current_setting('max_connections')::int as "connectionsMax",
              (select count(*) from ${this.#table})::int as stored`,
    );
    return rows[0] ?? this.#seen;
  }

  async #countWaiting(): Promise<number> {
    const pipeline = this.#place.redis.pipeline();
    for (const key of this.#keys) pipeline.llen(key);
    const lengths = (await pipeline.exec()) ?? [];
    return lengths.reduce((sum, [error, length]) => (error ? sum : sum + Number(length)), 0);
  }
}
