/** A plain Redis over TCP that can be told to break: an exchange is one command. */
import { Redis } from "ioredis";
import { countBilledCommands } from "./billed-commands.ts";
import type { ChooseFault } from "./breakable-server.ts";
import { type Exchange, type Reading, startBreakableTcp } from "./breakable-tcp.ts";
import type { SeenByUpstashBridge, UpstashBridge } from "./upstash-bridge.ts";

/** Commands of a client's handshake, which belong to no caller. */
const HANDSHAKE = ["AUTH", "CLIENT", "HELLO", "SELECT"];

/** Starts a proxy on 127.0.0.1 before the Redis at `redisUrl`. It has the face of the bridge; its `token` is empty. */
export async function startRedisProxy(options: {
  redisUrl: string;
  port?: number | undefined;
  fault?: ChooseFault<SeenByUpstashBridge> | undefined;
}): Promise<UpstashBridge> {
  const { hostname: host, port } = new URL(options.redisUrl);
  const redis = new Redis(options.redisUrl, { lazyConnect: true, disableClientInfo: true });
  redis.on("error", () => {});
  const server = await startBreakableTcp<SeenByUpstashBridge>({
    ...{ port: options.port, fault: options.fault, read: readCommands },
    upstream: { host, port: Number(port || 6379) },
  });
  const close = async () => {
    redis.disconnect();
    await server.close();
  };
  return { ...server, token: "", billedCommands: () => countBilledCommands(redis), close };
}

function readCommands(): Reading<SeenByUpstashBridge> {
  let unread = Buffer.alloc(0);
  return {
    fromClient(bytes) {
      unread = Buffer.concat([unread, bytes]);
      const exchanges: Exchange<SeenByUpstashBridge>[] = [];
      for (let end = lengthOf(unread); end !== undefined; end = lengthOf(unread)) {
        const command = commandOf(unread.subarray(0, end));
        const isHandshake = HANDSHAKE.includes(command[0] ?? "");
        const seen: SeenByUpstashBridge = { path: "/", commands: [command] };
        exchanges.push({ bytes: unread.subarray(0, end), replies: 1, ...(isHandshake ? {} : { seen }) });
        unread = unread.subarray(end);
      }
      return exchanges;
    },
    replyLength: lengthOf,
    answer: (_exchange, body) => replyOf(body),
  };
}

/** The length of the first value of RESP 2 in the bytes; undefined: it is not whole. */
function lengthOf(bytes: Buffer): number | undefined {
  let [at, values] = [0, 1];
  while (values > 0) {
    const lineEnd = bytes.indexOf("\r\n", at);
    if (lineEnd < 0) return undefined;
    const type = String.fromCharCode(bytes[at] as number);
    const count = Number(bytes.toString("latin1", at + 1, lineEnd));
    at = lineEnd + 2;
    values -= 1;
    if (type === "$" && count >= 0) at += count + 2;
    if (type === "*" && count > 0) values += count;
    if (at > bytes.length) return undefined;
  }
  return at;
}

/** The words of a command, its name in upper case. */
function commandOf(bytes: Buffer): string[] {
  const words: string[] = [];
  let at = bytes.indexOf("\r\n") + 2;
  while (at < bytes.length) {
    const lineEnd = bytes.indexOf("\r\n", at);
    const length = Number(bytes.toString("latin1", at + 1, lineEnd));
    words.push(bytes.toString("utf8", lineEnd + 2, lineEnd + 2 + length));
    at = lineEnd + length + 4;
  }
  return words.map((word, i) => (i === 0 ? word.toUpperCase() : word));
}

/** `{"error"}` or `{"result"}` as Redis would say it. */
function replyOf(body: string): Buffer | undefined {
  try {
    const { error, result } = JSON.parse(body) as { error?: string; result?: unknown };
    if (typeof error === "string") return Buffer.from(`-${error}\r\n`);
    if (typeof result === "number") return Buffer.from(`:${result}\r\n`);
    if (typeof result === "string") return Buffer.from(`$${Buffer.byteLength(result)}\r\n${result}\r\n`);
    return result === null ? Buffer.from("$-1\r\n") : undefined;
  } catch {
    return undefined;
  }
}
