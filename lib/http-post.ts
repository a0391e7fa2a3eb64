/**
 * One POST over HTTP, for the clients of both vendors: undici's `request`. Node's fetch is built on it, with a layer
 * that costs four fifths of a small request's CPU (docs/performance.md). Connections are kept; nothing is sent twice.
 */
import { EventEmitter } from "node:events";
import { Agent, request } from "undici";

/** The connection broke off or could not be made: whether the request had its effect is unknown. */
export class ConnectionFailed extends Error {
  override name = "ConnectionFailed";
}

/** There was no whole reply in time: whether the request had its effect is unknown. */
export class TimedOut extends Error {
  override name = "TimedOut";
}

export interface Post {
  headers: Record<string, string>;
  body: string;
  /** Milliseconds for the whole exchange, to the last byte of the reply. */
  timeoutMs: number;
}

export interface Reply {
  status: number;
  /** Whether the status is 200 to 299. */
  ok: boolean;
  headers: Record<string, string | string[] | undefined>;
  text: string;
}

const dispatcher = new Agent();

/** What fetch would have sent of itself: a gateway on the way may want it. The body is JSON in either protocol. */
const HEADERS = { accept: "*/*", "content-type": "application/json", "user-agent": "spillway" };

/** Sends one POST and reads the whole reply, whatever its status. Throws TimedOut or ConnectionFailed. */
export async function sendPost(url: string, { headers, body, timeoutMs }: Post): Promise<Reply> {
  const signal = new EventEmitter(); // AbortSignal.timeout took a quarter of the CPU that a drain needs for a batch
  let timer: NodeJS.Timeout | undefined;
  // undici heeds the signal only once there is a connection: a handshake that hangs would take its ten seconds.
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new TimedOut(`expected a reply within ${timeoutMs} ms, got none`));
      signal.emit("abort");
    }, timeoutMs);
  });
  try {
    return await Promise.race([exchange(url, { headers: { ...HEADERS, ...headers }, body, signal }), late]);
  } catch (error) {
    if (error instanceof TimedOut) throw error;
    throw new ConnectionFailed("the connection broke off or could not be made", { cause: error });
  } finally {
    clearTimeout(timer);
  }
}

type Sent = Pick<Post, "headers" | "body"> & { signal: EventEmitter };

async function exchange(url: string, given: Sent): Promise<Reply> {
  const { statusCode, headers, body } = await request(url, { ...given, method: "POST", dispatcher });
  const ok = statusCode >= 200 && statusCode <= 299;
  return { status: statusCode, ok, headers, text: await body.text() };
}
