/**
 * Neon's HTTP endpoint (`POST /sql`) in front of a plain Postgres, so that the production driver runs unchanged.
 *
 * A request holds one statement, or several as one transaction. As at Neon, if Postgres refuses a statement, the answer is a
 * 400 with the SQLSTATE; if Postgres cannot be reached, it is a 500 without one. If a client goes away, its statement runs on.
 * The request's connection string names the server. The bridge keeps only pooled connections after a request.
 */
import type { IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import { DatabaseError, Pool, type PoolClient, type QueryArrayConfig, type QueryArrayResult } from "pg";
import {
  type Answer,
  type BreakableServer,
  type ChooseFault,
  startBreakableServer,
  type Understood,
} from "./breakable-server.ts";

export interface NeonQuery {
  query: string;
  params: unknown[];
}

/** What a fault function sees: the statements; `isTransaction` when they came as a batch. */
export interface SeenByNeonBridge {
  queries: NeonQuery[];
  isTransaction: boolean;
}

export type NeonBridge = BreakableServer<SeenByNeonBridge> & {
  /** The full address for NEON_HTTP_URL and `neonConfig.fetchEndpoint`, ending in /sql. */
  httpUrl: string;
};

/** Neon refuses requests and answers beyond this size (64 MB). */
const bodyMaxBytes = 64 * 1024 * 1024;
const connectTimeoutMs = 10_000;

/** Starts a bridge on 127.0.0.1 (`port` absent: any free one), for any database that requests name. */
export async function startNeonBridge(
  options: {
    port?: number | undefined;
    poolMax?: number;
    fault?: ChooseFault<SeenByNeonBridge> | undefined;
  } = {},
): Promise<NeonBridge> {
  const pools = new Pools(options.poolMax ?? 100);
  const server = await startBreakableServer({
    port: options.port,
    fault: options.fault,
    bodyMaxBytes,
    refuseSize: () => failure(413, { message: "request is too large (max is 67108864 bytes)" }),
    understand: (request, body) => understand(request, body, pools),
  });
  return {
    ...server,
    httpUrl: `${server.url}/sql`,
    close: async () => {
      await server.close();
      pools.close();
    },
  };
}

function understand(
  request: IncomingMessage,
  body: string,
  pools: Pools,
): Understood<SeenByNeonBridge> | Answer {
  if (request.url !== "/sql") return failure(404, { message: "not found" });
  if (request.method !== "POST") return failure(405, { message: "method not allowed" });
  const connectionString = header(request, "connection-string");
  if (connectionString === undefined) return failure(400, { message: "missing Neon-Connection-String" });
  let parsed: { query?: string; params?: unknown[]; queries?: { query: string; params?: unknown[] }[] };
  try {
    parsed = JSON.parse(body);
  } catch {
    return failure(400, { message: "failed to parse the request body as JSON" });
  }
  const isTransaction = parsed.queries !== undefined;
  const given = parsed.queries ?? [{ query: parsed.query, params: parsed.params }];
  const queries = given.map(({ query, params }) => ({ query: query ?? "", params: params ?? [] }));
  const form: Form = {
    isRaw: header(request, "raw-text-output") === "true",
    isArray: header(request, "array-mode") === "true",
  };
  return {
    seen: { queries, isTransaction },
    run: () =>
      pools.use(connectionString, (client) =>
        isTransaction
          ? runTransaction(client, queries, form, begin(request))
          : runStatement(client, queries[0]!, form),
      ),
  };
}

interface Form {
  isRaw: boolean;
  isArray: boolean;
}

function header(request: IncomingMessage, name: string): string | undefined {
  const value = request.headers[`neon-${name}`];
  return Array.isArray(value) ? value[0] : value;
}

const isolationLevels: Record<string, string> = {
  ReadUncommitted: "READ UNCOMMITTED",
  ReadCommitted: "READ COMMITTED",
  RepeatableRead: "REPEATABLE READ",
  Serializable: "SERIALIZABLE",
};

function begin(request: IncomingMessage): string {
  const level = isolationLevels[header(request, "batch-isolation-level") ?? ""];
  const modes = [
    level && `ISOLATION LEVEL ${level}`,
    header(request, "batch-read-only") === "true" && "READ ONLY",
    header(request, "batch-deferrable") === "true" && "DEFERRABLE",
  ];
  return `BEGIN ${modes.filter(Boolean).join(" ")}`;
}

async function runStatement(client: PoolClient, query: NeonQuery, form: Form): Promise<string> {
  return toJson(await client.query(toPg(query, form)), form);
}

/**
 * All statements in one transaction, sent together; the first refusal is the answer. Those after it are refused too,
 * and COMMIT then rolls everything back.
 */
async function runTransaction(
  client: PoolClient,
  queries: NeonQuery[],
  form: Form,
  start: string,
): Promise<string> {
  const { stream } = socketOf(client);
  stream.cork();
  const started = client.query(start);
  const sent = queries.map((query) => client.query(toPg(query, form)));
  const committed = client.query("COMMIT");
  stream.uncork();
  const outcomes = await Promise.allSettled([started, ...sent, committed]);
  const refused = outcomes.find((outcome) => outcome.status === "rejected");
  if (refused) throw refused.reason;
  const results = await Promise.all(sent);
  return `{"results":[${results.map((result) => toJson(result, form)).join(",")}]}`;
}

/** The connection under a client, which pg does not declare. */
const socketOf = (client: PoolClient) => (client as unknown as { connection: { stream: Socket } }).connection;

const asText = { getTypeParser: () => (text: unknown) => text };

/** `queryMode` makes even statements without parameters go through the extended protocol: one statement each, as at Neon. */
function toPg({ query, params }: NeonQuery, form: Form): QueryArrayConfig {
  const config = { text: query, values: params, rowMode: "array" as const, queryMode: "extended" };
  return form.isRaw ? { ...config, types: asText as never } : config;
}

function toJson(result: QueryArrayResult, form: Form): string {
  const fields = result.fields.map((field) => ({
    name: field.name,
    tableID: field.tableID,
    columnID: field.columnID,
    dataTypeID: field.dataTypeID,
    dataTypeSize: field.dataTypeSize,
    dataTypeModifier: field.dataTypeModifier,
    format: "text",
  }));
  const toRecord = (row: unknown[]) => Object.fromEntries(row.map((value, i) => [fields[i]?.name, value]));
  const rows = form.isArray ? result.rows : result.rows.map(toRecord);
  return JSON.stringify({
    fields,
    rows,
    command: result.command,
    rowCount: result.rowCount,
    rowAsArray: form.isArray,
  });
}

function failure(status: number, body: { message: string }): Answer {
  return { status, body: JSON.stringify(body) };
}

/** One pool per connection string, each surviving restarts of its server. */
class Pools {
  readonly #poolMax: number;
  readonly #pools = new Map<string, Pool>();
  readonly #clients = new Set<PoolClient>();

  constructor(poolMax: number) {
    this.#poolMax = poolMax;
  }

  /** Runs on a pooled connection and turns the outcome into an answer. A connection that failed is not used again. */
  async use(connectionString: string, run: (client: PoolClient) => Promise<string>): Promise<Answer> {
    let client: PoolClient | undefined;
    try {
      client = await this.#of(connectionString).connect();
      const body = await run(client);
      client.release(changesSession(body));
      return { status: 200, body };
    } catch (error) {
      const isRefusal = error instanceof DatabaseError;
      client?.release(!isRefusal || (error.severity !== undefined && error.severity !== "ERROR"));
      if (isRefusal && client === undefined) return refuseToConnect(error);
      if (isRefusal) return { status: 400, body: JSON.stringify(describe(error)) };
      return failure(500, { message: `Couldn't connect to compute node: ${(error as Error).message}` });
    }
  }

  #of(connectionString: string): Pool {
    const known = this.#pools.get(connectionString);
    if (known) return known;
    const pool = new Pool({
      connectionString,
      max: this.#poolMax,
      pipeline: true,
      connectionTimeoutMillis: connectTimeoutMs,
      allowExitOnIdle: true,
    });
    pool.on("error", () => {});
    pool.on("connect", (client) => {
      client.on("error", () => {});
      this.#clients.add(client);
    });
    pool.on("remove", (client) => this.#clients.delete(client));
    this.#pools.set(connectionString, pool);
    return pool;
  }

  /** Cuts every connection, busy ones too; Postgres finishes or rolls back what was running. */
  close(): void {
    for (const client of this.#clients) {
      socketOf(client).stream.destroy();
    }
    for (const pool of this.#pools.values()) pool.end().catch(() => {});
    this.#pools.clear();
  }
}

/** True after SET, PREPARE and their like: at Neon no request sees another's session, so the connection is given up. */
function changesSession(body: string): boolean {
  return /"command":"(SET|RESET|PREPARE|LISTEN|DECLARE|DISCARD|BEGIN|START)"/.test(body.slice(-200));
}

/** Neon's proxy answers a refused login itself: 400 with an empty code for the password, else 500. */
function refuseToConnect({ message, code }: DatabaseError): Answer {
  if (code?.startsWith("28")) return { status: 400, body: JSON.stringify({ message, code: "" }) };
  return { status: 500, body: JSON.stringify({ message, code }) };
}

/** Postgres's own error fields, as Neon sends them. */
function describe(error: DatabaseError) {
  const { message, severity, code, detail, hint, position, internalPosition, internalQuery, where } = error;
  const { schema, table, column, dataType, constraint, file, line, routine } = error;
  return {
    ...{ message, severity, code, detail, hint, position, internalPosition, internalQuery, where },
    ...{ schema, table, column, dataType, constraint, file, line, routine },
  };
}
