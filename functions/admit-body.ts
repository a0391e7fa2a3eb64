/** Reads a POST's body and admits its events as they come, in turns with the other bodies of this instance. */
import type { IncomingMessage } from "node:http";
import type { ApiKey } from "../lib/config.ts";
import type { CpuTurns, Work } from "../lib/flow/cpu-turns.ts";
import type { Share } from "../lib/flow/room.ts";
import { type Admission, Admitting } from "../lib/ingest/admit.ts";
import { BodyParser } from "../lib/ingest/parse-body.ts";
import { BodySyntaxError, TooMany } from "../lib/ingest/raw-event.ts";
import type { Stream } from "../lib/schema/stream.ts";
import { Problem } from "./answer.ts";
import { noRoom, readBody } from "./body.ts";
import type { Records } from "./on-record.ts";
import type { PostHead } from "./post-head.ts";

export interface AdmitBodyDeps extends Pick<Records, "usage"> {
  turns: CpuTurns;
  now: () => number;
  bodyMaxBytes: number;
  eventMaxBytes: number;
  eventsMax: number;
}

/** A POST whose head is read, and its body not yet. */
export interface Post {
  head: PostHead;
  req: IncomingMessage;
  stream: Stream;
  key: ApiKey;
  /** What it may hold of the instance's memory. */
  share: Share;
  deadlineAtMs: number;
  /** The address of a public key's client; undefined: the key is secret. */
  address: string | undefined;
}

export interface AdmittedBody {
  admission: Admission;
  /** Whether the body can hold several events, so that one may be rejected alone. */
  isBatch: boolean;
}

/** Admits the events of a body. Throws a 400, 408, 413 or 503 if it can't be read to its end. */
export async function admitBody(deps: AdmitBodyDeps, post: Post): Promise<AdmittedBody> {
  const { now, bodyMaxBytes, eventsMax, eventMaxBytes, turns } = deps;
  const { req, stream, key, share, deadlineAtMs } = post;
  const { type, encoding, ack, idempotencyKey } = post.head;
  const parser = new BodyParser({ stream, type, headers: req.headers, eventsMax, eventMaxBytes });
  const admitting = new Admitting({
    stream,
    keyName: key.name,
    idempotencyKey,
    isPublic: key.kind === "public",
    eventMaxBytes,
    receivedAt: new Date(now()).toISOString(),
    isPacked: ack === "buffered",
  });
  const work: Work = { spentMs: 0 };
  const admitNext = (): boolean => {
    const event = parser.next();
    if (event === undefined) return false;
    admitting.add(event);
    // The events may take more memory than their body did.
    if (!share.hold(admitting.admission.dataBytes)) throw noRoom();
    return true;
  };
  let bytes = 0;
  const consume = (piece: Buffer) => {
    bytes += piece.length;
    parser.add(piece);
    return turns.run(work, admitNext);
  };
  try {
    await readBody(req, { encoding, maxBytes: bodyMaxBytes, deadlineAtMs, share, consume });
    parser.end();
    const waiting = turns.run(work, admitNext);
    if (waiting) await waiting;
    turns.end(work);
  } catch (error) {
    if (error instanceof TooMany) throw new Problem("too-many-events", error.message);
    throw error instanceof BodySyntaxError ? new Problem("invalid-body", error.message) : error;
  } finally {
    deps.usage.add(key.name, stream.name, "bytes", bytes);
  }
  return { admission: admitting.admission, isBatch: parser.isBatch };
}
