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
  headers: Record<string, string | string[] | undefined>;
  text: string;
}

const dispatcher = new Agent();

/** Sends one POST and reads the whole reply, whatever its status. Throws the signal's reason, or ConnectionFailed. */
export async function post(url: string, { headers, body, signal }: Post): Promise<Reply> {
  try {
    const reply = await request(url, { method: "POST", headers, body, signal, dispatcher });
    return { status: reply.statusCode, headers: reply.headers, text: await reply.body.text() };
  } catch (error) {
    signal.throwIfAborted();
    throw new ConnectionFailed("the connection broke off or could not be made", { cause: error });
  }
}
