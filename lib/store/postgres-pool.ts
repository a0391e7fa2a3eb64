/**
 * Connections to Postgres over TCP, for one process: at most so many, each in one hand at a time.
 *
 * A process may have been frozen. Then its sockets may be dead without its knowing, and no timer of the pool ran. So a connection that lay idle
 * for long, by a clock that is not set back, is dropped when somebody asks for it. One that is given back is in no transaction; any other is
 * closed. The whole of a use is bounded by its caller's patience, the wait for a connection included.
 */
import type { Socket } from "node:net";
import { Pool, type PoolClient } from "pg";
import { clientSettingsOf } from "../postgres-url.ts";
import { connectFailureOf, NoAnswer } from "./tcp-failures.ts";

/** A connection that lay idle for longer is not used again, in milliseconds. */
const IDLE_MAX_MS = 20_000;

/** How long a connection may take to be made, in milliseconds. */
const CONNECT_TIMEOUT_MS = 5000;

export interface PoolOptions {
  /** How many connections there may be. */
  connections: number;
  monotonicMs: () => number;
}

/** The connection under a client, which pg does not declare. */
export const socketOf = (client: PoolClient): Socket =>
  (client as unknown as { connection: { stream: Socket } }).connection.stream;

/** In a transaction, idle, …, as the server said last; not declared either. */
const isIdle = (client: PoolClient): boolean =>
  (client as unknown as { getTransactionStatus(): string | null }).getTransactionStatus() === "I";

export class PostgresPool {
  readonly #pool: Pool;
  readonly #monotonicMs: () => number;
  /** When each connection was given back. */
  readonly #idleSinceMs = new WeakMap<PoolClient, number>();

  constructor(databaseUrl: string, { connections, monotonicMs }: PoolOptions) {
    this.#monotonicMs = monotonicMs;
    this.#pool = new Pool({
      ...clientSettingsOf(databaseUrl),
      ...{ max: connections, allowExitOnIdle: true, keepAlive: true },
      connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
      pipeline: true,
    });
    this.#pool.on("error", () => {}); // an idle connection broke: the pool has dropped it
    this.#pool.on("connect", (client) => client.on("error", () => {})); // one in use: its statements are rejected
  }

  /**
   * Runs on a connection of its own. Throws NoAnswer after `timeoutMs`, ConnectFailure if there is no connection, and what `run` throws.
   * `run` must not be left with a statement under way.
   */
  async use<T>(timeoutMs: number, run: (client: PoolClient) => Promise<T>): Promise<T> {
    const lease: Lease = { client: undefined, isOver: false };
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        lease.isOver = true;
        if (lease.client) socketOf(lease.client).destroy();
        reject(new NoAnswer(`expected an answer of Postgres within ${timeoutMs} ms, got none`));
      }, timeoutMs);
    });
    try {
      return await Promise.race([this.#run(lease, run), late]);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Closes every connection, each as soon as it is given back. */
  close(): Promise<void> {
    return this.#pool.ended || this.#pool.ending ? Promise.resolve() : this.#pool.end();
  }

  async #run<T>(lease: Lease, run: (client: PoolClient) => Promise<T>): Promise<T> {
    const client = await this.#checkOut();
    lease.client = client;
    try {
      if (lease.isOver) throw new NoAnswer("the connection came too late");
      return await run(client);
    } finally {
      this.#giveBack(client, lease.isOver);
    }
  }

  async #checkOut(): Promise<PoolClient> {
    for (;;) {
      const client = await this.#pool.connect().catch((error: unknown) => {
        throw connectFailureOf(error);
      });
      const idleSinceMs = this.#idleSinceMs.get(client);
      if (idleSinceMs === undefined || this.#monotonicMs() - idleSinceMs <= IDLE_MAX_MS) return client;
      this.#drop(client);
    }
  }

  #giveBack(client: PoolClient, isOver: boolean): void {
    if (isOver || !isIdle(client)) {
      this.#drop(client);
    } else {
      this.#idleSinceMs.set(client, this.#monotonicMs());
      client.release();
    }
  }

  /** Closes it without a word: nobody may be listening, and an open transaction ends with its connection. */
  #drop(client: PoolClient): void {
    socketOf(client).destroy();
    client.release(true);
  }
}

interface Lease {
  client: PoolClient | undefined;
  isOver: boolean;
}
