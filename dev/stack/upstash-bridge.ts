/**
 * Upstash's REST interface in front of a plain Redis, so that the production client runs unchanged.
 *
 * It serves `POST /`, `/pipeline` and `/multi-exec` with bearer auth, base64 replies and Upstash's error shape. If Redis is
 * down, it closes the connection, like a network failure: no command is queued or sent twice. It removes `allow-key-locking`
 * from scripts, a flag of Upstash's that plain Redis rejects. It runs every request on one connection, so it refuses commands
 * that block or subscribe, and MULTI outside /multi-exec.
 */
import { createHash, timingSafeEqual } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { Command, Redis } from "ioredis";
import { type BilledCommandsCounter, countBilledCommands } from "./billed-commands.ts";
import {
  type Answer,
  type BreakableServer,
  type ChooseFault,
  startBreakableServer,
  type Understood,
} from "./breakable-server.ts";

/** What a fault function sees: where the request went and its commands, e.g. `[["LPUSH", "key", "…"]]`, names upper-case. */
export interface SeenByUpstashBridge {
  path: "/" | "/pipeline" | "/multi-exec";
  commands: string[][];
}

export interface UpstashBridge extends BreakableServer<SeenByUpstashBridge> {
  token: string;
  /** Commands run by the Redis since it started, as Upstash bills them. See billed-commands.ts. */
  billedCommands: BilledCommandsCounter;
}

/**
 * Upstash refuses requests beyond this size (10 MB), and a command whose reply would be larger
 * (upstash.com/docs/redis/troubleshooting/max_request_size_exceeded).
 */
const bodyMaxBytes = 10 * 1024 * 1024;

const forbidden = new Set(
  "MULTI EXEC DISCARD WATCH UNWATCH SUBSCRIBE PSUBSCRIBE SSUBSCRIBE MONITOR BLPOP BRPOP BLMOVE BLMPOP BZPOPMIN BZPOPMAX SHUTDOWN QUIT RESET HELLO AUTH SELECT CLIENT".split(
    " ",
  ),
);

/** Starts a bridge on 127.0.0.1 (`port` absent: any free one). Redis need not be up yet. */
export async function startUpstashBridge(options: {
  redisUrl: string;
  token: string;
  port?: number | undefined;
  fault?: ChooseFault<SeenByUpstashBridge> | undefined;
}): Promise<UpstashBridge> {
  const redis = new Redis(options.redisUrl, {
    protocol: 2,
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    disableClientInfo: true,
    retryStrategy: (times) => Math.min(50 * times, 250),
  });
  redis.on("error", () => {});
  const shasOfStripped = new Map<string, string>();
  const authorization = Buffer.from(`Bearer ${options.token}`);

  const understand = (request: IncomingMessage, body: string): Understood<SeenByUpstashBridge> | Answer => {
    const given = Buffer.from(request.headers.authorization ?? "");
    if (given.length !== authorization.length || !timingSafeEqual(given, authorization)) {
      return refuse(401, "Unauthorized");
    }
    const path = (request.url ?? "/").replace(/\?.*$/, "");
    if (path !== "/" && path !== "/pipeline" && path !== "/multi-exec")
      return refuse(404, "Command is not available");
    if (request.method !== "POST") return refuse(405, "Method Not Allowed");
    const commands = parseCommands(path, body);
    if (typeof commands === "string") return refuse(400, commands);
    const isBase64 = request.headers["upstash-encoding"] === "base64";
    return {
      seen: { path, commands },
      run: async () => refuseLarge(await run(redis, path, commands, isBase64, shasOfStripped)),
    };
  };

  await new Promise<void>((resolve) => {
    redis.once("ready", resolve);
    redis.once("close", resolve);
  });
  const server = await startBreakableServer({
    port: options.port,
    fault: options.fault,
    bodyMaxBytes,
    refuseSize: (bytes) => refuse(413, sizeExceeded(bytes)),
    understand,
  });
  return {
    ...server,
    token: options.token,
    billedCommands: () => countBilledCommands(redis),
    close: async () => {
      await server.close();
      redis.disconnect();
    },
  };
}

function refuse(status: number, error: string): Answer {
  return { status, body: JSON.stringify({ error }) };
}

const sizeExceeded = (bytes: number) =>
  `ERR max request size exceeded. Limit: ${bodyMaxBytes} bytes, Actual: ${bytes} bytes`;

/** Refuses an answer that is too large. The commands have run by then. */
function refuseLarge(answer: Answer): Answer {
  const bytes = answer === "unreachable" ? 0 : Buffer.byteLength(answer.body);
  return bytes > bodyMaxBytes ? refuse(400, sizeExceeded(bytes)) : answer;
}

/** The request's commands with upper-case names, or the sentence that says what is wrong with it. */
function parseCommands(path: string, body: string): string[][] | string {
  let parsed: unknown;
  try {
    parsed = JSON.parse(body);
  } catch {
    return "ERR failed to parse command";
  }
  const list: unknown = path === "/" ? [parsed] : parsed;
  if (!Array.isArray(list) || list.length === 0) return "ERR failed to parse pipeline request";
  const commands: string[][] = [];
  for (const item of list) {
    if (!Array.isArray(item) || item.length === 0) return "ERR empty command";
    const command = item.map((part) => (typeof part === "string" ? part : toArgument(part)));
    command[0] = (command[0] as string).toUpperCase();
    if (forbidden.has(command[0])) return `ERR Command is not available: '${command[0]}'`;
    commands.push(command);
  }
  return commands;
}

function toArgument(part: unknown): string {
  return typeof part === "object" ? JSON.stringify(part) : String(part);
}

async function run(
  redis: Redis,
  path: SeenByUpstashBridge["path"],
  commands: string[][],
  isBase64: boolean,
  shasOfStripped: Map<string, string>,
): Promise<Answer> {
  const send = (command: string[]) => sendCommand(redis, command, isBase64, shasOfStripped);
  try {
    if (path === "/") {
      const reply = await send(commands[0] as string[]);
      return reply instanceof Error
        ? refuse(400, reply.message)
        : { status: 200, body: `{"result":${toJson(reply)}}` };
    }
    const replies = await sendTogether(
      redis,
      send,
      path === "/pipeline" ? commands : [["MULTI"], ...commands, ["EXEC"]],
    );
    if (path === "/pipeline") return { status: 200, body: toJsonItems(replies) };
    const executed = replies.at(-1);
    if (executed instanceof Error) {
      const cause = replies.find((reply) => reply instanceof Error) as Error;
      return refuse(400, `${executed.message} ${cause.message}`);
    }
    return { status: 200, body: toJsonItems(executed as unknown[]) };
  } catch {
    return "unreachable";
  }
}

/** Sends commands back to back on the one connection, in one write; nothing of another request comes between. */
function sendTogether(
  redis: Redis,
  send: (command: string[]) => Promise<unknown>,
  commands: string[][],
): Promise<unknown[]> {
  const stream = redis.status === "ready" ? redis.stream : undefined;
  stream?.cork();
  const replies = commands.map(send);
  stream?.uncork();
  return Promise.all(replies);
}

/** Resolves to Redis's reply (an Error if Redis refused the command), rejects only when Redis can't be reached. */
async function sendCommand(
  redis: Redis,
  command: string[],
  isBase64: boolean,
  shasOfStripped: Map<string, string>,
): Promise<unknown> {
  const [name, ...given] = command as [string, ...string[]];
  const { args, sha } = withoutKeyLocking(name, given, shasOfStripped);
  // Upper-case names keep ioredis from reshaping replies; the prepared Command keeps it from reading options into them.
  const prepared = new Command(name, args, isBase64 ? {} : { replyEncoding: "utf8" });
  try {
    const reply = await redis.sendCommand(prepared);
    return sha === undefined ? reply : isBase64 ? Buffer.from(sha) : sha;
  } catch (error) {
    if ((error as Error).name === "ReplyError") return error;
    throw error;
  }
}

/**
 * Takes `allow-key-locking` off a script and keeps its SHA known: EVALSHA by the original's SHA then runs the
 * stripped script. `sha` is what SCRIPT LOAD has to answer instead of the stripped one's.
 */
function withoutKeyLocking(
  name: string,
  args: string[],
  shasOfStripped: Map<string, string>,
): { args: string[]; sha?: string } {
  if (name === "EVALSHA" || name === "EVALSHA_RO") {
    const sha = shasOfStripped.get((args[0] ?? "").toLowerCase());
    return { args: sha === undefined ? args : [sha, ...args.slice(1)] };
  }
  if (name === "EVAL" || name === "EVAL_RO")
    return { args: [strip(args[0] ?? "", shasOfStripped).script, ...args.slice(1)] };
  if (name !== "SCRIPT") return { args };
  const verb = args[0]?.toUpperCase();
  if (verb === "EXISTS") return { args: args.map((arg) => shasOfStripped.get(arg.toLowerCase()) ?? arg) };
  if (verb !== "LOAD") return { args };
  const { script, sha } = strip(args[1] ?? "", shasOfStripped);
  return sha === undefined ? { args } : { args: ["LOAD", script], sha };
}

function strip(script: string, shasOfStripped: Map<string, string>): { script: string; sha?: string } {
  const shebang = /^#!lua flags=([^\n]*)/.exec(script);
  if (!shebang?.[1]?.includes("allow-key-locking")) return { script };
  const flags = shebang[1].split(",").filter((flag) => flag.trim() !== "allow-key-locking");
  // The line break stays, so that line numbers in Redis's errors stay true.
  const stripped =
    (flags.length > 0 ? `#!lua flags=${flags.join(",")}` : "") + script.slice(shebang[0].length);
  const sha = sha1(script);
  shasOfStripped.set(sha, sha1(stripped));
  return { script: stripped, sha };
}

function sha1(text: string): string {
  return createHash("sha1").update(text).digest("hex");
}

function toJsonItems(replies: unknown[]): string {
  const items = replies.map((reply) =>
    reply instanceof Error ? JSON.stringify({ error: reply.message }) : `{"result":${toJson(reply)}}`,
  );
  return `[${items.join(",")}]`;
}

/** JSON of a reply; a Buffer becomes its base64, which needs no escaping. A list of strings, as a claim is, goes in one piece. */
function toJson(reply: unknown): string {
  if (Array.isArray(reply) && reply.every((item) => typeof item === "string")) return JSON.stringify(reply);
  if (Buffer.isBuffer(reply)) return `"${reply.toString("base64")}"`;
  if (Array.isArray(reply)) return `[${reply.map(toJson).join(",")}]`;
  if (reply instanceof Error) return JSON.stringify(reply.message);
  return JSON.stringify(reply ?? null);
}
