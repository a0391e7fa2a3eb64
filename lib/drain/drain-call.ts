/** One drain call: its ports, who claims in its name, and when it claims no more. Shared by its partitions. */
import type { Buffer, Claimant } from "../buffer/buffer.ts";
import type { HeldNotes } from "../buffer/held-note.ts";
import type { Pauses } from "../buffer/pauses.ts";
import type { FairSlots } from "../flow/fair-slots.ts";
import { oneAtATime } from "../flow/one-at-a-time.ts";
import type { Log } from "../log.ts";
import type { Registry } from "../schema/registry.ts";
import type { Store } from "../store/store.ts";
import type { TableCheck } from "../store/table-check.ts";
import type { WritingStore } from "../store/write-rows.ts";
import type { Stopped } from "../store/written.ts";
import { type DrainOutcome, outcomeOfStop } from "./drain-report.ts";
import type { Lookers } from "./happenings.ts";
import type { HeldLookout } from "./held-lookout.ts";
import type { Witnesses } from "./witnesses.ts";

export interface DrainDeps {
  buffer: Pick<Buffer, "claim" | "findWork" | "handBack" | "release" | "renew">;
  heldNotes: HeldNotes;
  store: WritingStore &
    Pick<Store, "bury" | "differing"> &
    Pick<Store, "takeHeld" | "settleHeld" | "hastenHeld" | "nextHeldInMs" | "tookRowWithin">;
  /** Asked how a table differs from its declaration, when Postgres refuses an insert that no row is blamed for. */
  tables: Pick<TableCheck, "differencesOf">;
  streams: Registry;
  log: Log;
  /** The wall clock: for times that are written down, or that another machine wrote. */
  now: () => number;
  /** A clock that is never set back: for durations and deadlines. */
  monotonicMs: () => number;
  /** Slots for inserts, shared by all drain calls of the process. A stream is a queue. */
  slots: Pick<FairSlots, "run">;
  /** Shared by all drain calls of the process, like `slots`. */
  witnesses: Witnesses;
  lookout: HeldLookout;
  /** Names the code that runs: a new release tries every held letter again. */
  release: string;
  /** Names this process: a batch that an earlier drain call of the same process let go of is not a crash. */
  instance: string;
  batchMaxRows: number;
  leaseMs: number;
  drainDeadlineMs: number;
  /** Streams that this process never drains (DRAIN_PAUSED). */
  paused: ReadonlySet<string>;
  /** Asked before held letters are tried. A claim reads the pause of its stream by itself. */
  pauses: Pick<Pauses, "find">;
  /** Aborted when the process is told to end: batches in hand are finished, nothing new is claimed. */
  stopping: AbortSignal;
  /** Where batches and calls are noted for people who look on. */
  live?: Lookers;
}

interface Options {
  token: string;
  /** By the wall clock. */
  startedAtMs: number;
  /** An eager flush. */
  fullBatchesOnly: boolean;
  /** Whether held partitions are tried again. */
  waitsForHeld: boolean;
}

export class DrainCall {
  readonly claimant: Claimant;
  /** Runs works of suspected batches one after another. */
  readonly alone = oneAtATime();
  readonly #deps: DrainDeps;
  readonly #waitsForHeld: boolean;
  readonly #deadlineAtMs: number;
  #isUnreachable = false;
  #hasClaimed = false;
  #isLastRound = false;
  readonly #waiting = new Set<string>();

  constructor(deps: DrainDeps, { token, startedAtMs, fullBatchesOnly, waitsForHeld }: Options) {
    const { leaseMs, batchMaxRows } = deps;
    this.claimant = { token, leaseMs, count: batchMaxRows, fullBatchesOnly, startedAtMs };
    this.#deps = deps;
    this.#waitsForHeld = waitsForHeld;
    this.#deadlineAtMs = deps.monotonicMs() + deps.drainDeadlineMs;
  }

  /** Whether the process is told to end. */
  get isStopping(): boolean {
    return this.#deps.stopping.aborted;
  }

  /** Whether this call claims nothing more: its deadline has come, or the process is told to end. */
  get isOver(): boolean {
    return this.isStopping || this.#deps.monotonicMs() >= this.#deadlineAtMs;
  }

  /** Whether some partition found Postgres unreachable, which ends the call for all. */
  get isUnreachable(): boolean {
    return this.#isUnreachable;
  }

  /** Whether a held partition is tried again. */
  get waitsForHeld(): boolean {
    return this.#waitsForHeld && !this.isStopping;
  }

  /** Whether the stream has to wait for its table: this call claims nothing more of it. */
  isWaiting(stream: string): boolean {
    return this.#waiting.has(stream);
  }

  /** Whether one more batch of the stream may be claimed. However short its deadline, each call claims once. */
  mayClaim(stream: string): boolean {
    if (this.#isUnreachable || this.isWaiting(stream) || this.isStopping || (this.#hasClaimed && this.isOver))
      return false;
    this.#hasClaimed = true;
    return true;
  }

  /**
   * Whether suspected batches are written now. In the first round of a call they are put off, so that the others are stored before a
   * batch that may restart the server; an eager flush leaves them to the tick.
   */
  get takesSuspected(): boolean {
    return this.#isLastRound && !this.claimant.fullBatchesOnly;
  }

  beginLastRound(): void {
    this.#isLastRound = true;
  }

  /**
   * Ends the call for all if Postgres does not answer, or for the stream if it has to wait; a suspicious stop ends it for neither. Returns
   * the outcome.
   */
  noteStop(stream: string, { outcome, isSuspicious = false }: Stopped): DrainOutcome {
    if (outcome === "unreachable") this.#isUnreachable = true;
    if (outcome === "busy" && !isSuspicious) this.letWait(stream);
    return outcomeOfStop(outcome);
  }

  /** Ends the call for one stream: its table is locked, or Postgres has no room for it. */
  letWait(stream: string): void {
    this.#waiting.add(stream);
  }
}
