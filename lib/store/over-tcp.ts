/**
 * Postgres over TCP: a batch is one transaction, whose statements go out together and take one round trip.
 *
 * It stands where Neon's client stands beneath Drizzle, and gives rows in the same forms. No statement has a name and no setting outlives its
 * transaction, so that a pooler (PgBouncer in transaction mode) may give each transaction another connection.
 */
import { types } from "@neondatabase/serverless";
import { DatabaseError, type PoolClient, type QueryArrayConfig, type QueryArrayResult } from "pg";
import { type PostgresPool, socketOf } from "./postgres-pool.ts";
import { NoAnswer } from "./tcp-failures.ts";

/** The forms in which rows come: as lists or as records, alone or with the rest of the answer. */
interface Form {
  arrayMode?: boolean;
  fullResults?: boolean;
}

interface Statement {
  text: string;
  params: unknown[];
  form: Form;
}

export interface TransactionOptions extends Form {
  isolationLevel?: "ReadCommitted";
}

/** Makes the client beneath Drizzle. Every transaction gives up after `timeoutMs`. */
export const overTcp = (pool: PostgresPool, timeoutMs: number) => ({
  query: (text: string, params: unknown[] = [], form: Form = {}): Statement => ({ text, params, form }),
  transaction: (statements: readonly Statement[], options: TransactionOptions = {}): Promise<unknown[]> =>
    pool.use(timeoutMs, (client) => runTransaction(client, statements, options)),
});

/**
 * Sends the whole transaction at once. The first refusal is the answer: Postgres refuses the statements after it, too, and COMMIT then rolls
 * everything back. Throws Postgres's answer, or NoAnswer if the connection broke, or if BEGIN was refused and something after it
 * was not: then each statement was a transaction of its own.
 */
async function runTransaction(
  client: PoolClient,
  statements: readonly Statement[],
  { isolationLevel, ...form }: TransactionOptions,
): Promise<unknown[]> {
  const socket = socketOf(client);
  socket.cork();
  const begun = client.query(isolationLevel ? "BEGIN ISOLATION LEVEL READ COMMITTED" : "BEGIN");
  const sent = statements.map((statement) => client.query(asArrays(statement)));
  const committed = client.query("COMMIT");
  socket.uncork();
  const outcomes = await Promise.allSettled([begun, ...sent, committed]);
  const [opened, ...others] = outcomes;
  if (opened.status === "rejected" && others.some(({ status }) => status === "fulfilled"))
    throw new NoAnswer("the transaction did not begin", { cause: opened.reason });
  const refused = outcomes.find((outcome) => outcome.status === "rejected");
  if (refused?.reason instanceof DatabaseError) throw refused.reason;
  if (refused) throw new NoAnswer("the connection to Postgres broke", { cause: refused.reason });
  const results = await Promise.all(sent);
  return results.map((result, i) => inForm(result, { ...form, ...statements[i]?.form }));
}

/** Drizzle has told Neon's parsers which types it reads itself. */
const asNeon = { getTypeParser: (oid: number) => types.getTypeParser(oid) };

/** `queryMode` makes a statement without parameters one statement, too; pg does not declare it. */
const asArrays = ({ text, params }: Statement): QueryArrayConfig =>
  ({ text, values: params, rowMode: "array", queryMode: "extended", types: asNeon }) as QueryArrayConfig;

function inForm(result: QueryArrayResult, { arrayMode = false, fullResults = false }: Form): unknown {
  const { fields, command, rowCount } = result;
  const rows = arrayMode
    ? result.rows
    : result.rows.map((row) => Object.fromEntries(row.map((value, i) => [fields[i]?.name, value])));
  return fullResults ? { fields, rows, command, rowCount, rowAsArray: arrayMode } : rows;
}
