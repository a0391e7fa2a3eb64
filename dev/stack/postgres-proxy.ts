/**
 * A plain Postgres over TCP that can be told to break: an exchange is one transaction that its client sent as a whole, from BEGIN to COMMIT, as
 * Spillway's does. Everything else, the login first, passes unchanged.
 */
import type { ChooseFault } from "./breakable-server.ts";
import { type Exchange, type Reading, startBreakableTcp } from "./breakable-tcp.ts";
import type { NeonBridge, NeonQuery, SeenByNeonBridge } from "./neon-bridge.ts";

/** The proxy; it has the face of the bridge. */
export type PostgresProxy = NeonBridge & {
  /** The URL of a database that is reached through it; unchanged if it is another server's. */
  through(databaseUrl: string): string;
};

/** Starts a proxy on 127.0.0.1 (`port` absent: any free one) before the server of this URL. */
export async function startPostgresProxy(options: {
  databaseUrl: string;
  port?: number | undefined;
  fault?: ChooseFault<SeenByNeonBridge> | undefined;
}): Promise<PostgresProxy> {
  const upstream = new URL(options.databaseUrl);
  const server = await startBreakableTcp<SeenByNeonBridge>({
    ...{ port: options.port, fault: options.fault, read: readTransactions },
    upstream: { host: upstream.hostname, port: Number(upstream.port) },
  });
  const through = (databaseUrl: string) => {
    const url = new URL(databaseUrl);
    if (url.port === upstream.port) url.port = String(server.port);
    return url.href;
  };
  return { ...server, httpUrl: "", through };
}

/** The type of a message and its length without the type. */
const HEAD = 5;

function readTransactions(): Reading<SeenByNeonBridge> {
  let unread = Buffer.alloc(0);
  let isStarted = false;
  let open: { messages: Buffer[]; queries: NeonQuery[]; replies: number } | undefined;

  /** Takes the first message, if it is whole. */
  function take(): Buffer | undefined {
    const lengthAt = isStarted ? 1 : 0;
    if (unread.length < lengthAt + 4) return undefined;
    const end = lengthAt + unread.readInt32BE(lengthAt);
    if (unread.length < end) return undefined;
    const message = unread.subarray(0, end);
    unread = unread.subarray(end);
    return message;
  }

  function exchangeOf(message: Buffer): Exchange<SeenByNeonBridge> | undefined {
    if (!isStarted) {
      isStarted = message.readInt32BE(4) === 196_608; // else a question about TLS
      return { bytes: message, replies: 0 };
    }
    const type = String.fromCharCode(message[0] as number);
    const text = type === "Q" ? message.toString("utf8", HEAD, message.length - 1) : "";
    // A client that goes step by step sends nothing behind its BEGIN.
    if (open === undefined && text.startsWith("BEGIN") && unread.length > 0)
      open = { messages: [], queries: [], replies: 0 };
    if (open === undefined) return { bytes: message, replies: 0 };
    open.messages.push(message);
    if (type === "Q" || type === "S") open.replies += 1;
    if (type === "P") open.queries.push({ query: queryOf(message), params: [] });
    if (type === "B") (open.queries.at(-1) as NeonQuery).params = paramsOf(message);
    if (text !== "COMMIT") return undefined;
    const { messages, queries, replies } = open;
    open = undefined;
    return { bytes: Buffer.concat(messages), seen: { queries, isTransaction: true }, replies };
  }

  return {
    fromClient(bytes) {
      unread = Buffer.concat([unread, bytes]);
      const exchanges: Exchange<SeenByNeonBridge>[] = [];
      for (let message = take(); message !== undefined; message = take()) {
        const exchange = exchangeOf(message);
        if (exchange) exchanges.push(exchange);
      }
      return exchanges;
    },
    replyLength,
    answer: ({ replies }, body) => refusalOf(body, replies),
  };
}

/** A message of Parse: the statement's name, its text. */
function queryOf(message: Buffer): string {
  const from = message.indexOf(0, HEAD) + 1;
  return message.toString("utf8", from, message.indexOf(0, from));
}

/** A message of Bind: portal, statement, formats, and the parameters, each with its length before it. */
function paramsOf(message: Buffer): unknown[] {
  let at = message.indexOf(0, message.indexOf(0, HEAD) + 1) + 1;
  at += 2 + 2 * message.readInt16BE(at);
  const params: unknown[] = [];
  const count = message.readUInt16BE(at);
  at += 2;
  for (let i = 0; i < count; i++) {
    const length = message.readInt32BE(at);
    at += 4;
    params.push(length < 0 ? null : message.toString("utf8", at, at + length));
    at += Math.max(length, 0);
  }
  return params;
}

/** A reply ends with the message that says that the server is ready for another statement. */
function replyLength(bytes: Buffer): number | undefined {
  for (let at = 0; at + HEAD <= bytes.length; ) {
    const end = at + 1 + bytes.readInt32BE(at + 1);
    if (end > bytes.length) return undefined;
    if (bytes[at] === 0x5a) return end;
    at = end;
  }
  return undefined;
}

/** Refuses each statement with the SQLSTATE of the body; undefined: it is the word of a gateway, which has no place here. */
function refusalOf(body: string, replies: number): Buffer | undefined {
  let code: unknown;
  let message: unknown;
  try {
    ({ code, message } = JSON.parse(body) as { code?: unknown; message?: unknown });
  } catch {
    return undefined;
  }
  if (typeof code !== "string" || code === "") return undefined;
  const fields = Buffer.from(`SERROR\0VERROR\0C${code}\0M${String(message ?? "")}\0\0`);
  const head = Buffer.alloc(HEAD);
  head.write("E", 0);
  head.writeInt32BE(fields.length + 4, 1);
  const refusal = Buffer.concat([head, fields, Buffer.from("Z\0\0\0\x05I", "latin1")]);
  return Buffer.concat(Array.from({ length: replies }, () => refusal));
}
