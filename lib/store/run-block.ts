/**
 * Runs a DO block. It takes no parameters and returns nothing, so what is given goes in, and the result comes out, by settings that are local
 * to the transaction. One round trip, under the bound of database.ts.
 */
import { type Database, statementBound } from "./database.ts";

interface Block {
  /** The whole statement. */
  text: string;
  /** The setting that the block reads, and what it holds. */
  given: { setting: string; value: string };
  /** The setting that the block sets, to JSON. */
  result: string;
}

/** Returns the result, parsed; undefined: the block set none. Throws Postgres's answer to the whole block. */
export async function runBlock(
  db: Database,
  timeoutMs: number,
  { text, given, result }: Block,
): Promise<unknown> {
  const bound = statementBound(db, timeoutMs).getQuery();
  const { query, transaction } = db.$client;
  const results = await transaction([
    query(bound.sql, bound.params),
    query(`select set_config('${given.setting}', $1, true)`, [given.value]),
    query(text, []),
    query(`select current_setting('${result}') as result`, []),
  ]);
  const [found] = (results[3] ?? []) as { result: string }[];
  return found && JSON.parse(found.result);
}
