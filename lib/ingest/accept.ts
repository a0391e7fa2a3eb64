/**
 * Decides the promise of an answer. Buffered if Redis has the events; stored if Postgres has them, because
 * the sender or the stream asked for that, or because Redis is away; else nothing is promised, and the ids let
 * the sender try again without storing anything twice. It decides by the request's deadline, whatever it waits for.
 */
import { isPast, TooLate, waitUntil } from "../flow/deadline.ts";
import { type Envelope, type PushableEnvelope, unpackEnvelope } from "../schema/envelope.ts";
import { type Row, rowOf } from "../schema/json-row.ts";
import type { Ack, Stream } from "../schema/stream.ts";
import type { Refused } from "../store/written.ts";
import { BufferUnavailable, Shed } from "./push.ts";
import type { RefusedEnvelope } from "./set-aside.ts";
import { StoreUnavailable, type WrittenThrough } from "./write-through.ts";

interface Deps {
  push(stream: string, envelopes: readonly PushableEnvelope[], deadlineAtMs: number): Promise<void>;
  writeThrough(
    stream: Stream,
    items: readonly { row: Row; bytes: number }[],
    deadlineAtMs: number,
  ): Promise<WrittenThrough>;
  /** Holds events that were refused without proof; returns the ids of those that are at fault after all. */
  setAside(stream: Stream, refused: readonly RefusedEnvelope[]): Promise<Set<string>>;
}

/** An event that Postgres refused. */
interface RefusedEvent {
  /** Its envelope's place among those given. */
  place: number;
  sqlstate: string | undefined;
  reason: string;
}

/** The promise of an answer. */
export type Accepted =
  /**
   * All are accepted, but for the events that Postgres refused. `duplicates`: ids under which it had an event before. `superseded`: ids of
   * events that are not stored, because a newer one of their key is.
   */
  | {
      kind: "accepted";
      ack: Ack;
      refused: RefusedEvent[];
      duplicates: string[];
      superseded: string[];
    }
  /** Nothing is promised. Some of it may have been kept, unless it was shed and small enough for one LPUSH (250 KB). */
  | { kind: "not-accepted"; why: "shed" | "unanswered" | "unbuffered" | "unproven" };

const UNANSWERED: Accepted = { kind: "not-accepted", why: "unanswered" };

const UNBUFFERED: Accepted = { kind: "not-accepted", why: "unbuffered" };

/** The level that is asked for. `only-buffered`: if Redis is away, nothing is written through. */
type Level = Ack | "only-buffered";

/**
 * Accepts envelopes at this level or better. Envelopes that go to Redis come packed. At the deadline nothing is promised: what
 * still waits then is never sent, and what is under way may be kept.
 */
export async function accept(
  deps: Deps,
  stream: Stream,
  level: Level,
  envelopes: readonly PushableEnvelope[],
  deadlineAtMs: number,
): Promise<Accepted> {
  const accepting =
    level === "stored"
      ? writeThroughOrGiveUp(deps, stream, envelopes, deadlineAtMs)
      : pushOrWriteThrough(deps, stream, level, envelopes, deadlineAtMs);
  const accepted = await waitUntil(deadlineAtMs, accepting);
  return accepted === "late" ? UNANSWERED : accepted;
}

async function pushOrWriteThrough(
  deps: Deps,
  stream: Stream,
  level: Level,
  envelopes: readonly PushableEnvelope[],
  deadlineAtMs: number,
): Promise<Accepted> {
  try {
    await deps.push(stream.name, envelopes, deadlineAtMs);
    return { kind: "accepted", ack: "buffered", refused: [], duplicates: [], superseded: [] };
  } catch (error) {
    if (error instanceof Shed) return { kind: "not-accepted", why: "shed" };
    if (error instanceof TooLate) return UNANSWERED;
    if (error instanceof BufferUnavailable)
      return level === "only-buffered"
        ? UNBUFFERED
        : writeThroughOrGiveUp(deps, stream, envelopes, deadlineAtMs);
    throw error;
  }
}

async function writeThroughOrGiveUp(
  { writeThrough, setAside }: Deps,
  stream: Stream,
  envelopes: readonly PushableEnvelope[],
  deadlineAtMs: number,
): Promise<Accepted> {
  if (isPast(deadlineAtMs)) return UNANSWERED;
  const items = envelopes.map((envelope) => {
    const row = rowOfAdmitted(stream, unpackEnvelope(envelope));
    return { row, bytes: Buffer.byteLength(row.json) };
  });
  try {
    const { proven, unproven, duplicates, superseded } = await writeThrough(stream, items, deadlineAtMs);
    const places = new Map(items.map(({ row }, place) => [row, place]));
    const placed = (one: Refused) => ({
      place: places.get(one.row) ?? 0,
      sqlstate: one.sqlstate,
      reason: one.reason,
    });
    const stored = { kind: "accepted", ack: "stored", duplicates, superseded } as const;
    if (unproven.length === 0) return { ...stored, refused: proven.map(placed) };
    const held = unproven.map((one) => ({
      envelope: unpackEnvelope(envelopes[placed(one).place] as Envelope),
      why: one,
    }));
    const atFault = await setAside(stream, held);
    const isDecided = unproven.every(({ row }) => atFault.has(row.id));
    if (!isDecided) return { kind: "not-accepted", why: "unproven" };
    return { ...stored, refused: [...proven, ...unproven].map(placed) };
  } catch (error) {
    if (error instanceof StoreUnavailable || error instanceof TooLate) return UNANSWERED;
    throw error;
  }
}

/** The row that the drain would make of the same envelope. */
function rowOfAdmitted(stream: Stream, envelope: Envelope): Row {
  const row = rowOf(stream, envelope);
  if ("reason" in row) throw new Error(`expected an admitted event to make a row: ${row.reason}`);
  return row;
}
