/**
 * The line after each load: accepted = stored + dead + waiting, by id. It is read when the target's processes have ended, so that
 * nothing moves meanwhile. Something that was never accepted may be stored as well; something accepted must be somewhere.
 */
import { allPartitions, listKeys } from "../../lib/buffer/redis-keys.ts";
import type { SurgeConserved, SurgeTarget } from "../../lib/contract/surge.ts";
import type { Load } from "../load/load.ts";
import type { Place } from "./place.ts";

/** How many ids go to Postgres at once. */
const IDS_AT_ONCE = 20_000;

/** Finds every accepted event. `name`: of the table, and of the stream. */
export async function findAccepted(
  place: Place,
  target: SurgeTarget,
  name: string,
  load: Load,
): Promise<SurgeConserved> {
  await keepIds(place, "accepted", load.ids);
  await keepIds(place, "waiting", target === "buffer" ? await idsThatWait(place, name) : []);
  const { rows } = await place.sql.query<
    Record<"accepted" | "stored" | "dead" | "waiting" | "extra", number>
  >(countsSql(name));
  const counts = rows[0] ?? { accepted: 0, stored: 0, dead: 0, waiting: 0, extra: 0 };
  const lost = counts.accepted - counts.stored - counts.dead - counts.waiting;
  const offered = load.perSecond.reduce((sum, second) => sum + second.offered, 0);
  const neverHeard = load.errors + load.unanswered;
  const isKept = lost === 0 && counts.accepted === load.ids.length && counts.extra <= neverHeard;
  const conserved = {
    ...({ kind: "conserved", target, offered, errors: load.errors, unanswered: load.unanswered } as const),
    ...{ ...counts, lost, isKept },
    ...{ p50Ms: load.latencies.percentileOrNull(0.5), p99Ms: load.latencies.percentileOrNull(0.99) },
  };
  return { ...conserved, text: say(conserved) };
}

async function keepIds({ sql }: Place, table: "accepted" | "waiting", ids: readonly string[]): Promise<void> {
  await sql.query(`drop table if exists pg_temp.${table}`);
  await sql.query(`create temp table ${table} (id uuid primary key)`);
  for (let at = 0; at < ids.length; at += IDS_AT_ONCE)
    await sql.query(`insert into pg_temp.${table} select unnest($1::uuid[]) on conflict do nothing`, [
      ids.slice(at, at + IDS_AT_ONCE),
    ]);
}

/** An id that is in several places counts where it is safest: a batch may be stored and not yet be acknowledged. */
const countsSql = (table: string) => `
  select count(a.id)::int as accepted,
         count(a.id) filter (where r.id is not null)::int as stored,
         count(a.id) filter (where r.id is null and d.id is not null)::int as dead,
         count(a.id) filter (where r.id is null and d.id is null and w.id is not null)::int as waiting,
         count(coalesce(r.id, d.id, w.id)) filter (where a.id is null)::int as extra
  from pg_temp.accepted a
  full join ${table} r on r.id = a.id
  full join (select id from dead_letters where stream = '${table}') d on d.id = coalesce(a.id, r.id)
  full join pg_temp.waiting w on w.id = coalesce(a.id, r.id, d.id)`;

async function idsThatWait({ redis }: Place, stream: string): Promise<string[]> {
  const ids: string[] = [];
  for (const key of allPartitions([stream]).flatMap(listKeys))
    for (const text of await redis.lrange(key, 0, -1)) ids.push((JSON.parse(text) as { id: string }).id);
  return ids;
}

function say(of: Omit<SurgeConserved, "text">): string {
  const [accepted, stored, dead, waiting, lost] = [of.accepted, of.stored, of.dead, of.waiting, of.lost].map(
    (count) => count.toLocaleString("en-US"),
  );
  const sum = `${accepted} accepted = ${stored} stored + ${dead} dead + ${waiting} waiting`;
  if (of.lost !== 0) return `${sum} + ${lost} LOST.`;
  return of.isKept ? `${sum}.` : `${sum}, but more was stored or answered than was asked for.`;
}
