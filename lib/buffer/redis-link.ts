/**
 * One connection to Redis over TCP for a process, which all its callers share; it is made when a command needs it.
 *
 * A command is written once, on a connection that is ready, or not at all: none waits in a queue for a connection to come back, and a new
 * connection begins empty. A command whose reply does not come is rejected in its caller's time. The connection then gets no further command,
 * and is closed when nobody waits on it any more. So is one that refuses in a way that another server may not, and one that lay idle for long,
 * by a clock that is not set back: a process that was frozen holds dead sockets, and no timer ran.
 */
import { createClient, ErrorReply } from "@redis/client";
import { ConnectionFailed, TimedOut } from "../http-post.ts";
import { tlsFailureOf } from "../tls-failure.ts";
import { RedisMisconfigured } from "./redis-errors.ts";

/** A connection that lay idle for longer is not used again, in milliseconds. */
const IDLE_MAX_MS = 20_000;

/** How long a connection may take to be made, in milliseconds. */
const CONNECT_TIMEOUT_MS = 5000;

/** Refusals of a server that is not, or not yet, the right one: the same address may lead to another. */
const ELSEWHERE = /^(READONLY|LOADING|MASTERDOWN|CLUSTERDOWN|MOVED|ASK)\b/;

/** Refusals to a new connection that pass by themselves: the server has as many clients as it may, runs a long script, or is not there yet. */
const PASSING = /max number of clients|^(BUSY|LOADING|MASTERDOWN|CLUSTERDOWN|TRYAGAIN)\b/;

/** Redis's reply to one command. */
export type Reply = { result: unknown } | { error: string };

type Client = ReturnType<typeof makeClient>;

interface Connection {
  client: Client;
  ready: Promise<unknown>;
  /** Callers who wait for it or on it. */
  users: number;
  idleSinceMs: number;
  isRetired: boolean;
}

/** The client's own features that would repeat, delay or add commands are off. RESP 2 has the reply forms of Upstash's REST. */
const makeClient = (url: string) =>
  createClient({
    ...{ url, RESP: 2, disableOfflineQueue: true, disableClientInfo: true },
    ...{ maintNotifications: "disabled", commandOptions: { timeout: 0 } },
    socket: { reconnectStrategy: false, connectTimeout: CONNECT_TIMEOUT_MS },
  });

export class RedisLink {
  readonly #url: string;
  readonly #monotonicMs: () => number;
  #current: Connection | undefined;

  constructor(url: string, monotonicMs: () => number) {
    this.#url = url;
    this.#monotonicMs = monotonicMs;
  }

  /**
   * Sends commands back to back, and returns their replies in order. Throws TimedOut after `timeoutMs`, ConnectionFailed if the connection
   * broke or could not be made, and RedisMisconfigured if TLS failed; then it is unknown which of them ran.
   */
  async send(commands: readonly string[][], timeoutMs: number): Promise<Reply[]> {
    const connection = this.#take();
    const turn = { isOver: false };
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        turn.isOver = true;
        connection.isRetired = true;
        reject(new TimedOut(`expected a reply of Redis within ${timeoutMs} ms, got none`));
      }, timeoutMs);
    });
    try {
      return await Promise.race([exchange(connection, commands, turn), late]);
    } finally {
      clearTimeout(timer);
      this.#giveBack(connection);
    }
  }

  /** Closes the connection when nobody waits on it any more. A command that comes later opens another. */
  close(): void {
    const connection = this.#current;
    this.#current = undefined;
    if (connection === undefined) return;
    connection.isRetired = true;
    if (connection.users === 0) end(connection);
  }

  #take(): Connection {
    const known = this.#current;
    if (known !== undefined && this.#isUsable(known)) {
      known.users += 1;
      known.client.ref();
      return known;
    }
    if (known?.users === 0) end(known);
    const client = makeClient(this.#url);
    // Whoever waits on it hears of it. After a reply that can't be read nobody knows whose the next one is.
    client.on("error", () => client.isReady && client.destroy());
    const ready = client.connect();
    ready.catch(() => {}); // nobody may be waiting any more
    this.#current = { client, ready, users: 1, idleSinceMs: 0, isRetired: false };
    return this.#current;
  }

  #isUsable({ client, users, idleSinceMs, isRetired }: Connection): boolean {
    if (isRetired || !client.isOpen) return false;
    return users > 0 || this.#monotonicMs() - idleSinceMs <= IDLE_MAX_MS;
  }

  #giveBack(connection: Connection): void {
    connection.users -= 1;
    connection.idleSinceMs = this.#monotonicMs();
    if (connection.users > 0) return;
    if (connection.isRetired) end(connection);
    else connection.client.unref(); // a command that is done ends its process
  }
}

async function exchange(
  connection: Connection,
  commands: readonly string[][],
  turn: { readonly isOver: boolean },
): Promise<Reply[]> {
  const { client, ready } = connection;
  try {
    await ready;
  } catch (error) {
    connection.isRetired = true;
    throw whyNotConnected(error);
  }
  if (turn.isOver) throw new TimedOut("the connection came too late"); // its caller was told that nothing came back
  const replies = await Promise.all(
    commands.map((command) => client.sendCommand(command).then(asResult, asRefusal)),
  );
  if (replies.some((reply) => "error" in reply && ELSEWHERE.test(reply.error))) connection.isRetired = true;
  return replies;
}

const asResult = (result: unknown): Reply => ({ result });

function asRefusal(error: unknown): Reply {
  if (error instanceof ErrorReply) return { error: error.message };
  throw new ConnectionFailed("the connection to Redis broke", { cause: error });
}

/** What stood in the way of a connection: Redis's own refusal, TLS, or the network. */
function whyNotConnected(cause: unknown): Error {
  const tls = tlsFailureOf(cause);
  if (tls !== undefined || (cause instanceof ErrorReply && !PASSING.test(cause.message)))
    return new RedisMisconfigured(tls ?? (cause as Error).message, { cause });
  return new ConnectionFailed("the connection to Redis could not be made", { cause });
}

/** Closes a connection at once. */
function end({ client }: Connection): void {
  if (client.isOpen) client.destroy();
}
