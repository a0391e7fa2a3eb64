/**
 * The verdict: reads every table, every dead letter and the buffer, and compares them with the senders' ledger. Lost:
 * acknowledged, but found nowhere. Duplicated: stored under two ids, or both stored and a dead letter. Changed: stored with
 * other content than was sent. Wrongly dead: a dead letter, but for a fault of its own. Wrongly refused: Postgres would take the
 * event, and its sender was told that it is at fault. Still held: a held letter that Postgres would take by now.
 */
import { isDeepStrictEqual } from "node:util";
import { Redis } from "ioredis";
import pg from "pg";
import { decodeEnvelope } from "../../lib/schema/envelope.ts";
import { eventOf, eventOfRow, isBad, isOwnFault, numberOf, STREAMS, type StreamName } from "./events.ts";
import type { Ledger } from "./ledger.ts";

export interface Verdict {
  sent: number;
  acknowledged: number;
  stored: number;
  dead: number;
  held: number;
  stillBuffered: number;
  /** Acknowledged in seconds that a restored Redis has lost, and missing: excused. */
  excused: number;
  lost: number[];
  duplicated: number[];
  changed: number[];
  wronglyDead: number[];
  wronglyRefused: number[];
  stillHeld: number[];
}

const PAGE = 10_000;

/** Judges a simulation of `events` events. Reads in pages; a million rows take some seconds. */
export async function judge(
  servers: { databaseUrl: string; redisUrl: string },
  ledger: Ledger,
  seed: number,
  events: number,
): Promise<Verdict> {
  const verdict: Verdict = {
    ...{
      sent: ledger.sent,
      acknowledged: ledger.acknowledged,
      stored: 0,
      dead: 0,
      held: 0,
      stillBuffered: 0,
      excused: 0,
    },
    ...{ lost: [], duplicated: [], changed: [], wronglyDead: [], wronglyRefused: [], stillHeld: [] },
  };
  const timesKept = new Uint8Array(events);
  const keep = (n: number) => {
    timesKept[n] = (timesKept[n] ?? 0) + 1;
    if (timesKept[n] === 2) verdict.duplicated.push(n);
  };
  const sql = new pg.Client({ connectionString: servers.databaseUrl });
  await sql.connect();
  for (const stream of STREAMS) {
    await judgeStored(sql, stream, { ledger, seed, verdict, keep });
    await judgeLetters(sql, stream, { verdict, keep });
  }
  await sql.end();
  const buffered = await bufferedNumbers(servers.redisUrl);
  verdict.stillBuffered = buffered.size;
  for (let n = 0; n < events; n++) {
    const stream = ledger.streamOf(n);
    if (stream && ledger.isRefused(n) && !isBad(stream, n)) verdict.wronglyRefused.push(n);
    if (!ledger.isAcknowledged(n) || timesKept[n] || buffered.has(n)) continue;
    if (ledger.isExcused(n)) verdict.excused += 1;
    else verdict.lost.push(n);
  }
  return verdict;
}

interface Notes {
  ledger: Ledger;
  seed: number;
  verdict: Verdict;
  /** Notes that an event was found stored or in a letter. */
  keep(n: number): void;
}

async function judgeStored(sql: pg.Client, stream: StreamName, { ledger, seed, verdict, keep }: Notes) {
  for await (const row of pages(sql, `select * from ${stream}`)) {
    const { n, event } = eventOfRow(stream, row);
    verdict.stored += 1;
    keep(n);
    if (ledger.streamOf(n) !== stream || !isDeepStrictEqual(event, eventOf(seed, stream, n)))
      verdict.changed.push(n);
  }
}

async function judgeLetters(
  sql: pg.Client,
  stream: StreamName,
  { verdict, keep }: Pick<Notes, "verdict" | "keep">,
) {
  const live = `select id, envelope, reason, retry_at from dead_letters d where stream = '${stream}' and redriven_at is null
    and not exists (select 1 from ${stream} s where s.id = d.id)`;
  const reasons = new Map<string, number>();
  for await (const { envelope, reason, retry_at } of pages(sql, live)) {
    const n = numberOf(stream, (JSON.parse(String(envelope)) as { data: Record<string, unknown> }).data);
    keep(n);
    if (retry_at !== null) {
      verdict.held += 1;
      if (!isBad(stream, n)) verdict.stillHeld.push(n);
      continue;
    }
    verdict.dead += 1;
    if (isOwnFault(stream, n, String(reason))) continue;
    verdict.wronglyDead.push(n);
    const why = `${stream}: ${reason}`;
    reasons.set(why, (reasons.get(why) ?? 0) + 1);
  }
  for (const [why, count] of reasons) console.log(`wrongly dead: ${count} of ${why}`);
}

/** The rows of a query that has an id, page by page in its order. */
async function* pages(sql: pg.Client, query: string): AsyncGenerator<Record<string, unknown>> {
  let after = "00000000-0000-0000-0000-000000000000";
  for (;;) {
    const { rows } = await sql.query(`select * from (${query}) q where id > $1 order by id limit ${PAGE}`, [
      after,
    ]);
    yield* rows as Record<string, unknown>[];
    if (rows.length < PAGE) return;
    after = rows.at(-1).id;
  }
}

async function bufferedNumbers(redisUrl: string): Promise<Set<number>> {
  const redis = new Redis(redisUrl);
  const numbers = new Set<number>();
  for (const key of await redis.keys("{spillway}:*")) {
    const [, stream, list] = key.split(":");
    if (!["pending", "sealed", "claimed"].includes(list ?? "")) continue;
    for (const text of await redis.lrange(key, 0, -1)) {
      const data = JSON.parse(decodeEnvelope(text)?.dataJson ?? "") as Record<string, unknown>;
      numbers.add(numberOf(stream as StreamName, data));
    }
  }
  await redis.quit();
  return numbers;
}
