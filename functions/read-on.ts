/**
 * Reads and forgets the rest of a refused body, so that its sender reads the answer. Node copies each piece, and large bodies that come
 * as fast as they can take time from everybody else's requests. So past its beginning a body waits for its turn, one body at a time.
 */
import type { IncomingMessage } from "node:http";

/** The most bytes of a refused body that are read on, and the longest time. Cloud Run takes bodies of up to 32 MB. */
const READ_ON_MAX_BYTES = 33_554_432;
const READ_ON_MS = 10_000;
/** What a piece counts at least, in bytes: a sender can make its pieces one byte long, and each costs time. */
const PIECE_MIN_BYTES = 256;
/** So many bytes of a body are read without waiting. */
const AT_ONCE_BYTES = 262_144;
/** What a body may read on in one turn, and the time between two turns of one instance: about 32 MB a second. */
const TURN_BYTES = 65_536;
const BETWEEN_TURNS_MS = 2;

/** Those whose body waits, in the order in which they get their turns. */
const waiting: (() => void)[] = [];

function waitForTurn(go: () => void): void {
  if (waiting.push(go) === 1) setTimeout(giveTurn, BETWEEN_TURNS_MS);
}

function giveTurn(): void {
  waiting.shift()?.();
  if (waiting.length > 0) setTimeout(giveTurn, BETWEEN_TURNS_MS);
}

/** Reads on. Calls `done` once, with whether the body came to its end. */
export function readOn(req: IncomingMessage, done: (isWhole: boolean) => void): void {
  let bytes = 0;
  let mayRead = AT_ONCE_BYTES;
  const count = (piece: Buffer) => {
    const counted = Math.max(piece.length, PIECE_MIN_BYTES);
    bytes += counted;
    mayRead -= counted;
    if (bytes > READ_ON_MAX_BYTES) stop();
    else if (mayRead <= 0) {
      req.pause();
      waitForTurn(goOn);
    }
  };
  const goOn = () => {
    mayRead = TURN_BYTES;
    req.resume();
  };
  const stop = () => {
    clearTimeout(timer);
    req.off("data", count).off("end", stop).off("error", stop).off("close", stop);
    done(req.complete);
  };
  const timer = setTimeout(stop, READ_ON_MS);
  req.on("data", count).on("end", stop).on("error", stop).on("close", stop).resume();
}
