/** HTTP as the load generator speaks it: requests as bytes that are made once, and answers read with as little work as possible. */
import type { LoadJob } from "./load-job.ts";
import { makePosts, type Post } from "./payloads.ts";

/** A post with its bytes. */
export interface Wire extends Post {
  bytes: Buffer;
}

export interface Answered {
  status: number;
  body: string;
}

/** The posts of a job, to be sent in turn. */
export const wiresOf = (job: LoadJob): Wire[] =>
  makePosts(job.kind, job.perPost).map((post) => ({ ...post, bytes: requestBytes(job, post) }));

/** A post as it goes over the socket. */
function requestBytes({ apiKey, stream }: LoadJob, post: Post): Buffer {
  const head = [
    `POST /v1/${stream ?? post.stream} HTTP/1.1`,
    "host: 127.0.0.1",
    `authorization: Bearer ${apiKey}`,
    "content-type: application/json",
    `content-length: ${Buffer.byteLength(post.body)}`,
  ];
  return Buffer.from(`${head.join("\r\n")}\r\n\r\n${post.body}`);
}

/** An answer, once all of it is there. Every server here states a length, or sends no body. */
export function parseAnswer(received: Buffer): Answered | undefined {
  const end = received.indexOf("\r\n\r\n");
  if (end === -1) return undefined;
  const head = received.toString("latin1", 0, end);
  const length = Number(/\r\ncontent-length: *(\d+)/i.exec(head)?.[1] ?? 0);
  if (received.length < end + 4 + length) return undefined;
  return { status: Number(head.slice(9, 12)), body: received.toString("latin1", end + 4, end + 4 + length) };
}

/** The ids that an answer of 2xx tells. */
export const idsOf = (body: string): string[] => (JSON.parse(body) as { ids?: string[] }).ids ?? [];
