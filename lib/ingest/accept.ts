/**
 * Ingest: decides what an answer may promise. Buffered when Redis has it; stored when Postgres has it, because
 * the sender or the stream asked for that, or because Redis is away; else nothing is promised, and the ids let
 * the sender try again without storing anything twice.
 */

import { decodeEnvelope, packEnvelope } from "../schema/envelope.ts";
import { type Row, rowOf } from "../schema/json-row.ts";
import type { Ack, Stream } from "../schema/stream.ts";
import type { Refused } from "../store/bisect.ts";
import type { Admission, Admitted, Rejected } from "./admit.ts";
import { BufferUnavailable, Shed } from "./push.ts";
import { StoreUnavailable } from "./write-through.ts";

interface Context {
  push: (stream: string, envelopes: readonly string[]) => Promise<void>;
  writeThrough: (stream: Stream, items: readonly { row: Row; bytes: number }[]) => Promise<Refused[]>;
}

/** What is promised of a request's admitted events. */
export type Kept =
  | { kind: "kept"; ack: Ack; ids: string[]; refused: Rejected[] }
  /** Nothing is promised. `isShed`: the buffer is full, and nothing was kept of what fits one LPUSH. */
  | { kind: "not-kept"; isShed: boolean };

/** Keeps admitted events, at the level asked for or better. */
export async function keep(context: Context, stream: Stream, ack: Ack, admission: Admission): Promise<Kept> {
  const { admitted } = admission;
  const ids = admitted.map(({ id }) => id);
  if (ack === "stored" || stream.ack === "stored") return store(context, stream, admission);
  try {
    await context.push(stream.name, pack(admitted));
    return { kind: "kept", ack: "buffered", ids, refused: [] };
  } catch (error) {
    if (error instanceof Shed) return { kind: "not-kept", isShed: true };
    if (error instanceof BufferUnavailable) return store(context, stream, admission);
    throw error;
  }
}

/** Packs what is to wait for Redis, in place: a request holds its events in one form only. */
function pack(admitted: Admitted[]): string[] {
  for (const one of admitted) one.envelope = packEnvelope(one.envelope);
  return admitted.map(({ envelope }) => envelope);
}

async function store(
  { writeThrough }: Context,
  stream: Stream,
  { admitted, indexes }: Admission,
): Promise<Kept> {
  const items = admitted.map(({ envelope }) => {
    const row = rowOfAdmitted(stream, envelope);
    return { row, bytes: row.json.length };
  });
  try {
    const refused = await writeThrough(stream, items);
    const reasons = new Map(refused.map(({ row, reason }) => [row, reason]));
    return {
      kind: "kept",
      ack: "stored",
      ids: items.filter(({ row }) => !reasons.has(row)).map(({ row }) => row.id),
      refused: items.flatMap(({ row }, i) => {
        const message = reasons.get(row);
        const index = indexes[i] ?? i;
        return message === undefined ? [] : [{ index, errors: [{ path: "", message }] }];
      }),
    };
  } catch (error) {
    if (error instanceof StoreUnavailable) return { kind: "not-kept", isShed: false };
    throw error;
  }
}

/** The row that the drain would make of the same envelope. */
function rowOfAdmitted(stream: Stream, text: string): Row {
  const envelope = decodeEnvelope(text);
  const row = envelope && rowOf(stream, envelope);
  if (row === undefined || "reason" in row)
    throw new Error(`expected an admitted event to make a row: ${row?.reason ?? "not an envelope"}`);
  return row;
}
