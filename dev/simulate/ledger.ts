/** The senders' knowledge: the stream of each event, and whether it was acknowledged or refused. Takes a byte an event. */
import { STREAMS, type StreamName } from "./events.ts";

const SENT = 1;
const BUFFERED = 2;
const STORED = 4;
const EXCUSED = 8;
/** Which stream takes two bits. */
const STREAM_SHIFT = 4;
const STREAM_MASK = 3;
const REFUSED = 64;

export class Ledger {
  readonly #notes: Uint8Array;
  sent = 0;
  acknowledged = 0;
  readonly answers: Record<string, number> = {};
  /** When a backup of Redis began to be taken that it may yet be restored from; undefined: none is. */
  isAtRisk = false;
  readonly #atRisk = new Set<number>();

  constructor(events: number) {
    this.#notes = new Uint8Array(events);
  }

  noteSent(n: number, stream: StreamName): void {
    this.#notes[n] = SENT | (STREAMS.indexOf(stream) << STREAM_SHIFT);
    this.sent += 1;
  }

  noteAcknowledged(n: number, ack: "buffered" | "stored"): void {
    this.#notes[n] = (this.#notes[n] ?? 0) | (ack === "stored" ? STORED : BUFFERED);
    this.acknowledged += 1;
    if (ack === "buffered" && this.isAtRisk) this.#atRisk.add(n);
  }

  /** Postgres refused it: a 422, or an item of `rejected`. */
  noteRefused(n: number): void {
    this.#notes[n] = (this.#notes[n] ?? 0) | REFUSED;
  }

  noteAnswer(name: string): void {
    this.answers[name] = (this.answers[name] ?? 0) + 1;
  }

  /** Redis came back older: what it had acknowledged since the backup may be missing. */
  excuseAtRisk(): void {
    for (const n of this.#atRisk) this.#notes[n] = (this.#notes[n] ?? 0) | EXCUSED;
    this.forgetRisk();
  }

  /** The backup will not be restored any more. */
  forgetRisk(): void {
    this.isAtRisk = false;
    this.#atRisk.clear();
  }

  streamOf(n: number): StreamName | undefined {
    const note = this.#notes[n] ?? 0;
    return note & SENT ? STREAMS[(note >> STREAM_SHIFT) & STREAM_MASK] : undefined;
  }

  isAcknowledged = (n: number): boolean => ((this.#notes[n] ?? 0) & (BUFFERED | STORED)) !== 0;

  isRefused = (n: number): boolean => ((this.#notes[n] ?? 0) & REFUSED) !== 0;

  /** Acknowledged by Redis alone, in seconds that Redis has lost. */
  isExcused = (n: number): boolean => ((this.#notes[n] ?? 0) & (EXCUSED | STORED)) === EXCUSED;
}
