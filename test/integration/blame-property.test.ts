/**
 * For any table of rules, and any sequence of outages: good rows end stored, bad rows end dead with a witness or held, no good row
 * waits behind a bad one for more than one drain call, no 422 goes to a good row, and it comes to an end.
 *
 * A rule says what the table does to rows that bear a note: raises a SQLSTATE by itself or by a missing table, sleeps, swallows. A
 * rule may change while events wait. PROPERTY_RUNS (25) says how many tables.
 */
import fc from "fast-check";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { drain } from "../../lib/drain/drain.ts";
import { newId } from "../../lib/schema/event-ids.ts";
import { type Ingest, serveIngest } from "./test-ingest.ts";
import {
  envelopeOf,
  expectConserved,
  letPausesEnd,
  openWorld,
  type World,
  whereabouts,
} from "./test-stack.ts";

const RUNS = Number(process.env.PROPERTY_RUNS || 25);
const STATEMENT_MS = 600;

let world: World;
let ingest: Ingest;
beforeAll(async () => {
  world = await openWorld();
  ingest = await serveIngest(world, { insertTimeoutMs: STATEMENT_MS });
  await world.sql.query(`
    create table rules (note text primary key, does text not null);
    create function rule() returns trigger language plpgsql as $$
      declare rule text := (select does from rules where note = new.note);
      begin
        if rule is null then return new; end if;
        if rule = 'swallow' then return null; end if;
        if rule = 'sleep' then perform pg_sleep(5); return new; end if;
        if rule = 'slow' then perform pg_sleep(0.02); return new; end if;
        if rule = 'missing' then insert into nowhere values (1); end if;
        if rule = 'divide' then perform 1 / 0; end if;
        raise exception using errcode = rule;
      end $$;
    create trigger rule before insert on checked for each row execute function rule()`);
});
beforeEach(() => world.reset());
afterAll(async () => {
  await world.sql.query("drop trigger rule on checked; drop function rule(); drop table rules");
  await ingest.close();
  await world.close();
});

/** What a table may do to a row, and whether that makes the row bad for ever. A slow row is stored. */
const BAD = [
  "swallow",
  "sleep",
  "missing",
  "divide",
  "23514",
  "P0001",
  "53100",
  "08001",
  "40001",
  "42501",
  "ZZ999",
];
const rule = fc.constantFrom(...BAD, "slow");
/** Bad by the table's own CHECK, or by the rule of its note, or good. */
const row = fc.oneof(
  { weight: 6, arbitrary: fc.constant({ n: 1 }) },
  { weight: 1, arbitrary: fc.constant({ n: -1 }) },
  { weight: 2, arbitrary: fc.constantFrom("a", "b", "c").map((note) => ({ n: 1, note })) },
);
const outage = fc.constantFrom(
  "none",
  "none",
  "refuse",
  "cut-after",
  "status-500",
  "hang",
  "53100",
  "57P01",
  "55P03",
);
const run = fc.record({
  rules: fc.record({ a: rule, b: rule, c: fc.option(rule, { nil: undefined }) }),
  /** Whether the rule of note "a" is a fault of the table's, mended at the end. */
  isMended: fc.boolean(),
  batches: fc.array(
    fc.record({
      rows: fc.array(row, { minLength: 1, maxLength: 12 }),
      partition: fc.nat(2),
      waits: fc.boolean(),
    }),
    { minLength: 1, maxLength: 5 },
  ),
  outages: fc.array(outage, { maxLength: 4 }),
});

function breakPostgres(kind: string): void {
  const refusal = (code: string) =>
    ({
      kind: "answer",
      status: 400,
      body: JSON.stringify({ message: "no", severity: "ERROR", code }),
    }) as const;
  world.neon.setFault(
    kind === "none"
      ? undefined
      : () =>
          /^\d/.test(kind)
            ? refusal(kind)
            : kind === "hang"
              ? { kind, forMs: 1000 }
              : ({ kind } as { kind: "refuse" }),
  );
}

type Run = typeof run extends fc.Arbitrary<infer Value> ? Value : never;
type Event = { n: number; note?: string };

/** What becomes of the events of one run: those that must end stored, and those that must end dead. */
class Fate {
  readonly good: string[] = [];
  readonly bad: string[] = [];
  readonly #isGood: (event: Event) => boolean;

  constructor({ rules, isMended }: Run) {
    const does = (note: string | undefined) => (rules as Record<string, string | undefined>)[note ?? ""];
    // A code that judges data, with a witness, is a verdict; a missing table is not, and may be mended.
    const isMendable = isMended && ["missing", "swallow"].includes(rules.a);
    this.#isGood = ({ n, note }) =>
      n > 0 && (does(note) === undefined || does(note) === "slow" || (note === "a" && isMendable));
  }

  isGood = (event: Event): boolean => this.#isGood(event);
  accept(event: Event & { id: string }): void {
    (this.#isGood(event) ? this.good : this.bad).push(event.id);
  }
}

/** A sender that waits: no 422 to a good event. After 503 nothing is promised, but what was kept counts. */
async function postAndWait(fate: Fate, made: (Event & { id: string })[]): Promise<void> {
  const { status, body } = await ingest.post("checked", made, { query: "?ack=stored" });
  const rejected: { index: number }[] = status === 503 ? [] : (body.rejected ?? body.errors ?? []);
  for (const { index } of rejected) expect(fate.isGood(made[index] as Event)).toBe(false);
  const { stored, held, dead } = await whereabouts(world, "checked");
  const kept = new Set([...stored, ...held, ...dead]);
  for (const one of made) if (kept.has(one.id)) fate.accept(one);
  if (status === 201) expect(stored).toEqual(expect.arrayContaining(body.ids));
}

async function push(partition: number, fate: Fate, made: (Event & { id: string })[]): Promise<void> {
  await world.buffer.push(
    { stream: "checked", index: partition },
    made.map(({ id, ...event }) => envelopeOf(event, { id }).envelope),
  );
  for (const one of made) fate.accept(one);
}

/** A held letter is tried again, with a witness each time, until nothing is held. */
async function letTimePass(fate: Fate, tick: () => Promise<unknown>): Promise<void> {
  // Rows that sleep are tried one a call.
  for (let calls = 0; calls < 100; calls++) {
    if (calls > 0 && (await whereabouts(world, "checked")).held.length === 0) return;
    await push(0, fate, [{ n: 1, id: newId() }]);
    await letPausesEnd(world);
    await world.sql.query("update dead_letters set died_at = died_at - interval '5 min'");
    await tick();
  }
}

async function holds(given: Run): Promise<void> {
  await world.reset();
  await world.sql.query("truncate rules");
  for (const [note, does] of Object.entries(given.rules))
    if (does) await world.sql.query("insert into rules values ($1, $2)", [note, does]);
  const fate = new Fate(given);
  const supervisor = world.supervisor({ store: world.storeWithin(STATEMENT_MS) });
  const tick = async () => (await drain(supervisor, { stream: "checked" })).streams[0];
  const outages = [...given.outages];
  for (const { rows, partition, waits } of given.batches) {
    const made = rows.map((event) => ({ ...event, id: newId() }));
    breakPostgres(outages.shift() ?? "none");
    if (waits) await postAndWait(fate, made);
    else await push(partition, fate, made);
    await tick();
  }
  breakPostgres("none");
  await expectConserved(world, "checked", [...fate.good, ...fate.bad]);

  // One drain call after the last outage no good row waits behind a bad one.
  const last = await tick();
  const { buffered, dead } = await whereabouts(world, "checked");
  expect([buffered, last?.remaining]).toEqual([[], 0]);
  expect(dead.filter((id) => fate.good.includes(id))).toEqual([]);

  if (given.isMended)
    await world.sql.query("delete from rules where note = 'a' and does in ('missing', 'swallow')");
  await letTimePass(fate, tick);
  const end = await whereabouts(world, "checked");
  expect([end.stored.sort(), end.dead.sort()]).toEqual([fate.good.sort(), fate.bad.sort()]);
  expect([end.held, end.buffered]).toEqual([[], []]);
  await expectConserved(world, "checked", [...fate.good, ...fate.bad]);
}

test("whatever a table does, and whenever Postgres is away", async () => {
  const seed = process.env.PROPERTY_SEED ? { seed: Number(process.env.PROPERTY_SEED) } : {};
  await fc.assert(fc.asyncProperty(run, holds), { numRuns: RUNS, endOnFailure: true, ...seed });
}, 600_000);
