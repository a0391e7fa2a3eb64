/**
 * One POST over HTTP, for the clients of both vendors: undici's `request`. It is what is under Node's fetch, without
 * the layer above that costs four fifths of a small request's CPU (docs/performance.md). Connections are kept;
 * nothing is sent twice.
 */
import { Agent, request } from "undici";

/** The connection broke off or could not be made: whether the request had its effect is unknown. */
export class ConnectionFailed extends Error {
  override name = "ConnectionFailed";
}

export interface Post {
  headers: Record<string, string>;
  body: string;
  /** Bounds the whole exchange, to the last byte of the reply. */
  signal: AbortSignal;
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

/** Sends one POST and reads the whole reply, whatever its status. Throws the signal's reason, or ConnectionFailed. */
export async function post(url: string, { headers, body, signal }: Post): Promise<Reply> {
  const work = exchange(url, { headers: { ...HEADERS, ...headers }, body, signal });
  try {
    return await untilAborted(work, signal);
  } catch (error) {
    signal.throwIfAborted();
    throw new ConnectionFailed("the connection broke off or could not be made", { cause: error });
  }
}

async function exchange(url: string, given: Post): Promise<Reply> {
  const { statusCode, headers, body } = await request(url, { ...given, method: "POST", dispatcher });
  const ok = statusCode >= 200 && statusCode <= 299;
  return { status: statusCode, ok, headers, text: await body.text() };
}

/** undici heeds the signal only once there is a connection: a handshake that hangs would take its ten seconds. */
function untilAborted<Result>(work: Promise<Result>, signal: AbortSignal): Promise<Result> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    signal.addEventListener("abort", abort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}
