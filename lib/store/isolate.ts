/**
 * Isolates rows in one round trip: a DO block inserts each in a subtransaction of its own, and tells each one's verdict. The same
 * insert without rows comes first.
 * Bisecting 100 bad rows takes 199 statements; this takes one, and needs plpgsql and no right beside those of the insert.
 */
import { type SQL, sql } from "drizzle-orm";
import { PgDialect } from "drizzle-orm/pg-core";
import type { Row } from "../schema/json-row.ts";
import { sqlLiteral } from "../schema/sql-literal.ts";
import type { Stream } from "../schema/stream.ts";
import type { Database } from "./database.ts";
import { insertOf } from "./insert-sql.ts";
import type { Names } from "./postgres-errors.ts";
import { runBlock } from "./run-block.ts";

/** The verdict on one row. */
export type Verdict =
  | { kind: "stored" }
  /** Nothing was inserted: the row is there already, or the table swallowed it. */
  | { kind: "not-inserted" }
  /** Only in a trial: it would be stored under another key, because a trigger changes it. */
  | { kind: "other-key" }
  /** `isWitnessed`: it was refused, another row was stored, and it was refused again. */
  | { kind: "refused"; sqlstate: string; names: Names; isWitnessed: boolean };

export interface IsolateOptions {
  /** A SQLSTATE of a server's class that is a verdict on a row, too: a RAISE of the user's gave it, for instance. */
  caught?: string | undefined;
  /** Insert without ON CONFLICT: 23505 then says that the row is there. */
  isStrict?: boolean;
  /** Roll everything back, and keep the verdicts. Sequences may advance. */
  isTrial?: boolean;
}

/** Codes that speak of the server or a lock, as a rule: they end the block and roll it back. */
const OF_THE_SERVER = "spw_state ~ '^(40|53|55P03|57|58|F0|XX)'";

/** SQLSTATEs with which a trial ends itself, and the witness is rolled back; Postgres has no such class. */
const TRIAL_ENDS = "SPW00";
const WITNESS_WAITS = "SPW01";

/**
 * Writes parameters into the text, as a DO block takes none: the defaults of columns, as the driver would send them. Drizzle's
 * own inlineParams throws for a bigint.
 */
class LiteralDialect extends PgDialect {
  override escapeParam(_number: number, value?: unknown): string {
    if (value === null) return "null";
    const text = typeof value === "object" ? JSON.stringify(value) : String(value);
    return sqlLiteral(text);
  }
}

const dialect = new LiteralDialect();
const textOf = (part: SQL): string => dialect.sqlToQuery(part).sql;

/**
 * Inserts each row in a subtransaction of its own, and returns the verdicts in the order of the rows. All are committed
 * together; a trial commits none. May be repeated. Throws Postgres's answer to the whole block, and an Error unless each row
 * has its verdict.
 */
export async function isolateRows(
  db: Database,
  timeoutMs: number,
  stream: Stream,
  rows: readonly Row[],
  options: IsolateOptions,
): Promise<Verdict[]> {
  const found = await runBlock(db, timeoutMs, {
    text: blockOf(stream, options),
    given: { setting: "spillway.rows", value: JSON.stringify(rows.map(({ json }) => json)) },
    result: "spillway.verdicts",
  });
  const verdicts = (found ?? []) as RawVerdict[];
  // A row without a verdict would count as settled, and its event would be lost.
  if (verdicts.length !== rows.length)
    throw new Error(`expected a verdict for each of ${rows.length} rows, got ${verdicts.length}`);
  return verdicts.map(verdictOf);
}

/** `1`, `0`, whether the key that came back is the one that was given (in a trial), or the diagnostics of a refusal. */
type RawVerdict =
  | number
  | boolean
  | [sqlstate: string, table: string, column: string, constraint: string, type: string, isWitnessed: boolean];

function verdictOf(raw: RawVerdict): Verdict {
  if (typeof raw === "boolean") return { kind: raw ? "stored" : "other-key" };
  if (typeof raw === "number") return { kind: raw > 0 ? "stored" : "not-inserted" };
  const [sqlstate, table, column, constraint, dataType, isWitnessed] = raw;
  const given = (name: string) => name || undefined;
  const names = {
    ...{ table: given(table), column: given(column) },
    ...{ constraint: given(constraint), dataType: given(dataType) },
  };
  return { kind: "refused", sqlstate, names, isWitnessed };
}

/**
 * The block. A refused row is witnessed if it was refused, another row was stored, and it was refused again: the fault may lie outside of
 * this table (in another one that a trigger reads), and may begin or end between any two rows. So there are three rounds:
 *
 *     0  from the last row backwards, each is tried and rolled back, until one can be stored: the witness
 *     1  the rows are inserted in their order, up to the witness, which is stored after every refusal
 *     2  if the witness is stored, each refused row is tried once more
 */
function blockOf(stream: Stream, { caught, isStrict = false, isTrial = false }: IsolateOptions): string {
  const { recordset, keySql } = stream;
  const insert = (select: SQL) => textOf(insertOf(stream, select, { isStrict }));
  const unlessCaught = caught === undefined ? "" : ` and spw_state <> ${sqlLiteral(caught)}`;
  const given = keySql.fromOne(sql.raw("spw_line"));
  const returning = isTrial
    ? textOf(
        sql` returning exists (select 1 from ${given} where ${keySql.isSameKey} and ${keySql.isSame}) into spw_is_same`,
      )
    : "";
  const [begin, rollBack] = isTrial ? BOUNDS_OF_TRIAL : ["", ""];
  const hasRounds = !isStrict && !isTrial;
  // A subtransaction that is rolled back gives up its lock, and between two rows somebody could change the table. This lock lasts as long
  // as the block.
  const lockTable = insert(
    sql`select ${recordset.values} from ${recordset.from(recordset.parametersOf([]))}`,
  );
  return `do $spillway$
#variable_conflict use_column
declare
  spw_lines text[] := array(select json_array_elements_text(current_setting('spillway.rows')::json));
  spw_count integer := cardinality(spw_lines);
  spw_verdicts text[] := array_fill('0'::text, array[spw_count]);
  spw_refused integer[] := '{}';
  spw_round integer := ${hasRounds ? 0 : 1};
  spw_todo integer[] := array(select generate_series(${hasRounds ? "spw_count, 1, -1" : "1, spw_count"}));
  spw_at integer := 1; spw_i integer; spw_line text; spw_n integer; spw_is_same boolean; spw_witness integer := 0;
  spw_state text; spw_schema text; spw_table text; spw_column text; spw_constraint text; spw_type text;
begin
  ${begin}
  ${lockTable};
  set constraints all immediate;
  while spw_at <= cardinality(spw_todo) loop
    spw_i := spw_todo[spw_at]; spw_line := spw_lines[spw_i]; spw_n := 0; spw_is_same := null;
    begin
      ${insert(recordset.selectOne(sql.raw("spw_line")))}${returning};
      get diagnostics spw_n = row_count;
      if spw_round = 0 and spw_n > 0 then raise exception using errcode = '${WITNESS_WAITS}'; end if;
      spw_verdicts[spw_i] := ${isTrial ? "coalesce(spw_is_same::text, '0')" : "spw_n::text"};
    exception
      when sqlstate '${WITNESS_WAITS}' then spw_witness := spw_i;
      when assert_failure or others then
        get stacked diagnostics spw_state = returned_sqlstate, spw_schema = schema_name, spw_table = table_name,
          spw_column = column_name, spw_constraint = constraint_name, spw_type = pg_datatype_name;
        if ${OF_THE_SERVER}${unlessCaught} then raise; end if;
        ${nameRelation(stream)}
        spw_n := 0;
        if spw_round < 2 then spw_refused := spw_refused || spw_i; end if;
        spw_verdicts[spw_i] := json_build_array(spw_state, spw_table, spw_column, spw_constraint, spw_type,
          spw_round = 2)::text;
    end;
    spw_at := spw_at + 1;
    if spw_round = 0 and spw_witness > 0 then
      spw_round := 1; spw_at := 1; spw_todo := array(select generate_series(1, spw_witness));
    elsif spw_round = 1 and spw_i = spw_witness and spw_n > 0 then
      spw_round := 2; spw_at := 1; spw_todo := spw_refused;
    end if;
  end loop;
  ${rollBack}
  perform set_config('spillway.verdicts', '[' || array_to_string(spw_verdicts, ',') || ']', true);
end $spillway$`;
}

/**
 * Makes a relation's name that of `Names`: none for the stream's own table, for a partition of it, because those come and go, and for the
 * tables behind it if it is a view. A name that a RAISE made up stays as it is.
 */
const nameRelation = ({ table }: Stream): string => `if spw_table <> '' then
          spw_table := coalesce((
            with recursive own(oid) as (
              select to_regclass(${sqlLiteral(textOf(sql`${table}`))})::oid
              union select d.refobjid from own
                join pg_rewrite w on w.ev_class = own.oid and w.rulename = '_RETURN'
                join pg_depend d on d.classid = 'pg_rewrite'::regclass and d.objid = w.oid and d.refclassid = 'pg_class'::regclass)
            select case
              when exists (select from own where own.oid = c.oid or own.oid in (select pg_partition_ancestors(c.oid))) then ''
              when n.nspname = 'public' then spw_table else n.nspname || '.' || spw_table end
            from pg_class c join pg_namespace n on n.oid = c.relnamespace
            where n.nspname = spw_schema and c.relname = spw_table), spw_table);
        end if;`;

/**
 * The beginning and the end of a trial. Postgres rolls back what a block did whose exception is caught, but it leaves the
 * variables, and with them the verdicts, as they are.
 */
const BOUNDS_OF_TRIAL = [
  "begin",
  `raise exception using errcode = '${TRIAL_ENDS}'; exception when sqlstate '${TRIAL_ENDS}' then null; end;`,
] as const;
