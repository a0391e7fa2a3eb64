/** A transaction over TCP whose BEGIN alone was refused, as a cancellation in that moment does it. No server can be asked to do so on purpose. */
import { DatabaseError, type PoolClient } from "pg";
import { expect, test } from "vitest";
import { overTcp } from "../../lib/store/over-tcp.ts";
import type { PostgresPool } from "../../lib/store/postgres-pool.ts";
import { NoAnswer } from "../../lib/store/tcp-failures.ts";

const canceled = Object.assign(new DatabaseError("canceling statement", 0, "error"), { code: "57014" });

/** A pool whose one connection refuses the statements that `refuses` names, and runs every other one. */
function poolOf(refuses: (text: string) => boolean): PostgresPool {
  const query = (asked: string | { text: string }) =>
    refuses(typeof asked === "string" ? asked : asked.text)
      ? Promise.reject(canceled)
      : Promise.resolve({ rows: [], fields: [], command: "", rowCount: 0 });
  const client = { query, connection: { stream: { cork() {}, uncork() {} } } } as unknown as PoolClient;
  const use = <T>(_: number, run: (client: PoolClient) => Promise<T>) => run(client);
  return { use } as unknown as PostgresPool;
}

const failureOf = (refuses: (text: string) => boolean) => {
  const sql = overTcp(poolOf(refuses), 1000);
  return sql.transaction([sql.query("insert 1"), sql.query("insert 2")]).catch((error: unknown) => error);
};

test("without its BEGIN each statement was a transaction of its own: what was stored is not known", async () => {
  expect(await failureOf((text) => text.startsWith("BEGIN"))).toBeInstanceOf(NoAnswer);
});

test("a server that refuses everything has stored nothing, and its word counts", async () => {
  expect(await failureOf(() => true)).toBe(canceled);
});

test("a statement that is refused refuses the transaction", async () => {
  expect(await failureOf((text) => text === "insert 1")).toBe(canceled);
});
