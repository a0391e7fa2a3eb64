/**
 * Faults of one table, as people inflict them on their own databases: a lock, a trigger, a policy, a column, a partition. Each is a
 * real one, lasts a moment, and is undone afterwards even if it failed. No event is at fault, but for those that the raising
 * trigger refuses by a rule.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { raisedRule, STREAMS, type StreamName } from "./events.ts";
import type { Inflict, Scene } from "./faults.ts";
import { hastenHeld } from "./held.ts";
import type { Random } from "./random.ts";
import { connect, execute, partitionNumbers, partitionOf } from "./tables.ts";

/** How long a table is at fault, in milliseconds. */
const lasting = (random: Random) => random.whole(500, 3000);

/** The statements that begin a fault, and those that end it; both may be repeated. */
interface Change {
  begin: string[];
  end: string[];
}

/** Refusals after which a letter is not hastened any more: six are its proof if another row is stored meanwhile. */
const HASTENED_TRIES = 3;
const UNDO_TRIES = 20;
const UNDO_PAUSE_MS = 500;

/** A fault of a table chosen at random. Half the time it is met by letters that an earlier fault left held, too. */
const ofTable =
  (changeOf: (table: StreamName, random: Random) => Change): Inflict =>
  async (scene) => {
    const { stack, random } = scene;
    const table = random.pick(STREAMS);
    const { begin, end } = changeOf(table, random);
    const isMetByHeld = random.next() < 0.5;
    try {
      await execute(stack.databaseUrl, begin);
      if (isMetByHeld) await hastenHeld(stack, { below: HASTENED_TRIES });
      await sleep(lasting(random));
    } finally {
      await undo(scene, end);
    }
  };

/** A change of a table may deadlock with an insert. */
async function undo({ stack }: Scene, statements: string[]): Promise<void> {
  for (let tries = 1; ; tries++) {
    try {
      return await execute(stack.databaseUrl, statements);
    } catch (error) {
      if (tries === UNDO_TRIES) throw error;
      await sleep(UNDO_PAUSE_MS);
    }
  }
}

const NAME = "simulated_trigger";

/** A trigger whose body is this, on each row that `when` is true of, or on each statement. */
const trigger = (table: string, body: string, scope: string): Change => ({
  begin: [
    `create or replace function ${NAME}() returns trigger language plpgsql as $$ begin ${body} end $$`,
    `create or replace trigger ${NAME} before insert on ${table} ${scope} execute function ${NAME}()`,
  ],
  end: [`drop trigger if exists ${NAME} on ${table}`],
});

const RAISE = "raise exception 'on purpose';";

/** A second session holds the whole table. */
async function lockTable({ stack, random }: Scene): Promise<void> {
  const client = await connect(stack.databaseUrl);
  try {
    await client.query(`begin; lock table ${random.pick(STREAMS)} in access exclusive mode`);
    await sleep(lasting(random));
  } finally {
    await client.end(); // which rolls back
  }
}

/** Partitions are away: rows of the others are stored meanwhile. */
function detach(table: StreamName, numbers: readonly number[]): Change {
  const partitions = numbers.map((number) => partitionOf(table, number));
  const where = (isAttached: boolean, name: string, statement: string) => `do $$ begin
    if (select relispartition from pg_class where oid = '${name}'::regclass) = ${isAttached} then ${statement}; end if;
  end $$`;
  return {
    begin: partitions.map(({ name }) => where(true, name, `alter table ${table} detach partition ${name}`)),
    end: partitions.map(({ name, bounds }) =>
      where(false, name, `alter table ${table} attach partition ${name} ${bounds}`),
    ),
  };
}

/** Every fault of a table by name. */
export const TABLE_FAULTS: Record<string, Inflict> = {
  "table locked": lockTable,
  "row-level security": ofTable((table) => ({
    begin: [`alter table ${table} enable row level security, force row level security`],
    end: [`alter table ${table} disable row level security, no force row level security`],
  })),
  "trigger raises for some rows": ofTable((table) =>
    trigger(table, RAISE, `for each row when (${raisedRule(table)})`),
  ),
  "trigger raises for every row": ofTable((table) => trigger(table, RAISE, "for each row")),
  "trigger raises for each statement": ofTable((table) => trigger(table, RAISE, "for each statement")),
  "trigger swallows every row": ofTable((table) => trigger(table, "return null;", "for each row")),
  "trigger swallows some rows": ofTable((table) =>
    trigger(table, "return null;", "for each row when (hashtext(new.id::text) % 3 = 0)"),
  ),
  "partition missing": ofTable((table, random) => detach(table, [random.pick(partitionNumbers)])),
  "every partition missing": ofTable((table) => detach(table, partitionNumbers)),
  "column added": ofTable((table) => ({
    begin: [
      `alter table ${table} add column if not exists extra text not null default ''; alter table ${table} alter column extra drop default`,
    ],
    end: [`alter table ${table} drop column if exists extra`],
  })),
};
