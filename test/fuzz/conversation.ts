/** One connection: requests that are sent without waiting for answers, in pieces with pauses, cut off, or followed by garbage. */
import { connect } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import type { Random } from "../../dev/simulate/random.ts";
import { answersIn, type RawAnswer } from "../raw-client.ts";
import { bytesOf } from "./events.ts";
import { type Request, requestOf, type Stored } from "./requests.ts";

export interface Conversation {
  requests: readonly Request[];
  /** How many of the requests are whole, sent to their end, and have nothing but such before them. */
  answerable: number;
  /** Whether more follows these, so that the connection is closed for it. */
  hasRest: boolean;
  pieces: readonly Buffer[];
  /** How long it waits after each piece, in milliseconds. */
  pauseMs: number;
  /** Whether the client goes away without reading. */
  isRude: boolean;
}

export interface Held {
  answers: RawAnswer[];
  /** How it ended: all answers came, the server closed, nothing came for long, or the client went away. */
  end: "answered" | "closed" | "hung" | "gone";
}

/** A connection has come to its end within this. */
const BOUND_MS = 20_000;

const GARBAGE = [
  "\r\n\r\n",
  "GE",
  "GET",
  "GET / HTTP/3\r\n\r\n",
  "\0",
  "{}",
  "\x16\x03\x01\x02",
  "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
];

/** Makes what is said on one connection. `name` is part of the requests' ids. */
export function conversationOf(random: Random, name: string, stored: Stored): Conversation {
  const requests: Request[] = [];
  const count = random.pick([1, 1, 1, 1, 2, 3, 5]);
  while (requests.length < count && requests.every(({ isWhole }) => isWhole))
    requests.push(requestOf(random, `${name}-${requests.length}`, stored));
  const garbage = random.next() < 0.06 ? garbageOf(random) : Buffer.alloc(0);
  const bytes = Buffer.concat([...requests.map((one) => one.bytes), garbage]);
  const cut = random.next() < 0.06 ? random.whole(0, bytes.length) : bytes.length;
  const answerable = countAnswerable(requests, cut);
  const answerableBytes = requests.slice(0, answerable).reduce((sum, one) => sum + one.bytes.length, 0);
  return {
    ...{ requests, answerable },
    hasRest: cut > answerableBytes || cut < bytes.length,
    pieces: piecesOf(random, bytes.subarray(0, cut)),
    pauseMs: random.whole(0, 8),
    isRude: random.next() < 0.02,
  };
}

const garbageOf = (random: Random) =>
  random.next() < 0.3 ? bytesOf(random, random.whole(1, 2000)) : Buffer.from(random.pick(GARBAGE), "latin1");

function countAnswerable(requests: readonly Request[], cut: number): number {
  let end = 0;
  let count = 0;
  for (const { bytes, isWhole } of requests) {
    end += bytes.length;
    if (!isWhole || end > cut) break;
    count += 1;
  }
  return count;
}

/** Mostly one piece, else up to eight, some of which are a single byte. */
function piecesOf(random: Random, bytes: Buffer): Buffer[] {
  const pieces: Buffer[] = [];
  let rest = bytes;
  for (let left = random.next() < 0.7 ? 0 : random.whole(1, 7); left > 0 && rest.length > 1; left--) {
    const size = random.next() < 0.3 ? 1 : random.whole(1, rest.length);
    pieces.push(rest.subarray(0, size));
    rest = rest.subarray(size);
  }
  return [...pieces, rest];
}

/** Holds it, and returns all answers that came. */
export function hold(port: number, conversation: Conversation): Promise<Held> {
  const { requests, hasRest, isRude } = conversation;
  const heads = new Set(requests.filter(({ method }) => method === "HEAD").map(({ id }) => id));
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    let received = "";
    const settle = (end: Held["end"]) => {
      clearTimeout(timer);
      socket.resetAndDestroy(); // leaves no port waiting
      resolve({ answers: answersIn(received, heads), end });
    };
    const timer = setTimeout(() => settle("hung"), BOUND_MS);
    socket.setEncoding("latin1");
    socket.on("error", () => settle("closed")).on("close", () => settle("closed"));
    socket.on("data", (text) => {
      received += text;
      if (!hasRest && answersIn(received, heads).length === requests.length) settle("answered");
    });
    socket.on("connect", async () => {
      await send(socket, conversation);
      if (isRude) settle("gone");
      else if (hasRest) socket.end(); // says that nothing more will come
    });
  });
}

async function send(socket: ReturnType<typeof connect>, { pieces, pauseMs }: Conversation): Promise<void> {
  for (const [index, piece] of pieces.entries()) {
    if (index > 0) await pause(pauseMs);
    if (socket.writable) socket.write(piece);
  }
}
