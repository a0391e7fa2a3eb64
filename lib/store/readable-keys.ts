/**
 * Finds the key records that Postgres can read. A key may hold a text that its column's type does not take ("nope" for a uuid), and then
 * Postgres refuses each statement that compares it. No row has such a key.
 */
import { sql } from "drizzle-orm";
import { PgDialect } from "drizzle-orm/pg-core";
import type { Stream } from "../schema/stream.ts";
import type { Database } from "./database.ts";
import { failureOf } from "./postgres-errors.ts";
import { runBlock } from "./run-block.ts";

const dialect = new PgDialect();

/** Whether an error may come of a key that can't be read: the class of data, also for a character that the encoding has not. */
export const isOfData = (error: unknown): boolean => {
  const { kind, sqlstate } = failureOf(error);
  return kind === "refused" && sqlstate?.startsWith("22") === true;
};

/**
 * Says of each key record whether Postgres can read it, in one round trip: a DO block reads each in a subtransaction of its own. May be
 * repeated.
 */
export async function readableKeys(
  db: Database,
  timeoutMs: number,
  stream: Stream,
  records: readonly string[],
): Promise<boolean[]> {
  const found = await runBlock(db, timeoutMs, {
    text: blockOf(stream),
    given: { setting: "spillway.keys", value: `[${records.map(escapeNonAscii).join(",")}]` },
    result: "spillway.readable",
  });
  return (found ?? []) as boolean[];
}

/** The same JSON in characters that every encoding has. */
export const escapeNonAscii = (json: string): string =>
  json.replaceAll(/[^\0-\x7f]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);

const blockOf = ({ keySql }: Stream): string => `do $spillway$
declare spw_record text; spw_readable boolean[] := '{}';
begin
  for spw_record in select value::text from json_array_elements(current_setting('spillway.keys')::json) loop
    begin
      perform from ${dialect.sqlToQuery(keySql.fromOne(sql.raw("spw_record"))).sql};
      spw_readable := spw_readable || true;
    exception when data_exception then
      spw_readable := spw_readable || false;
    end;
  end loop;
  perform set_config('spillway.readable', array_to_json(spw_readable)::text, true);
end $spillway$`;
