/**
 * The Traffic Surge Simulator: offers single-event posts at a steady rate to direct inserts and to Spillway, in turns, and tells each
 * second how each of them fares. Only on this machine, on the servers of a local stack, in databases of its own (place.ts).
 *
 * One surge runs at a time. It can be stopped, and leaves no process, row or key behind.
 */

import type {
  SurgeCalibrated,
  SurgeEnded,
  SurgeHello,
  SurgeRequest,
  SurgeTarget,
} from "../../lib/contract/surge.ts";
import { clearLeftovers, openPlace, type Place, type SurgeStack } from "./place.ts";
import { calibrate, RAMP, type RampSettings } from "./ramp.ts";
import { SurgeLog, type SurgeReader } from "./surge-log.ts";
import {
  RATE_MAX,
  RATE_MIN,
  readSurgeRequest,
  SECONDS_MAX,
  SECONDS_MIN,
  SurgeRefused,
} from "./surge-request.ts";
import { runTurn } from "./turn.ts";

export interface SurgeOptions {
  /** How this machine is measured before the first surge. @default at doubling rates to 8,000 */
  ramp?: RampSettings;
}

/** Makes the simulator of a local stack. Nothing is asked before `start`, `calibrate` or `clear`. */
export const createSurge = (stack: SurgeStack, options: SurgeOptions = {}): Surge =>
  new Surge(stack, options.ramp ?? RAMP);

export class Surge {
  readonly #stack: SurgeStack;
  readonly #ramp: RampSettings;
  readonly #log = new SurgeLog();
  #calibrated: SurgeCalibrated | undefined;
  #running: { stopping: AbortController; ended: Promise<void> } | undefined;

  constructor(stack: SurgeStack, ramp: RampSettings) {
    this.#stack = stack;
    this.#ramp = ramp;
  }

  /** Begins a surge, and resolves when it has begun. Before the first one, this machine is measured. Throws a SurgeRefused. */
  async start(given: unknown): Promise<void> {
    await this.#begin(readSurgeRequest(given));
  }

  /** Measures this machine, again if it was measured, and resolves when that has begun. Throws a SurgeRefused. */
  async calibrate(): Promise<void> {
    await this.#begin(null);
  }

  /** Stops the surge that runs, and resolves when it has ended. May be repeated. */
  async stop(): Promise<void> {
    this.#running?.stopping.abort();
    await this.ended();
  }

  /** Resolves when no surge runs. */
  async ended(): Promise<void> {
    await this.#running?.ended;
  }

  /** Reads the lines of the last surge, or of the one that runs, and then every line, until the returned function is called. */
  open(read: SurgeReader): () => void {
    read(this.#hello());
    return this.#log.open(read);
  }

  /** Removes what a surge left behind whose process was killed. Call it once at start. Never rejects. */
  async clear(): Promise<void> {
    await clearLeftovers(this.#stack).catch(() => {}); // the next surge does it, or says why it can't
  }

  async #begin(request: SurgeRequest | null): Promise<void> {
    if (this.#running !== undefined)
      throw new SurgeRefused(409, "A surge runs already: wait for its end, or stop it.");
    const stopping = new AbortController();
    const opened = openPlace(this.#stack);
    const ended = opened.then(
      (place) => this.#run(place, request, stopping.signal),
      () => {
        this.#running = undefined; // whoever began it hears why
      },
    );
    this.#running = { stopping, ended };
    await opened;
  }

  async #run(place: Place, request: SurgeRequest | null, signal: AbortSignal): Promise<void> {
    this.#log.begin({ kind: "begun", at: new Date().toISOString(), request });
    const end = await this.#work(place, request, signal).catch(
      (error: Error): Omit<SurgeEnded, "kind" | "at"> => ({
        why: "failed",
        text: `The surge failed: ${error.message}.`,
      }),
    );
    await place.close();
    this.#running = undefined;
    this.#log.say({ kind: "ended", at: new Date().toISOString(), ...end });
  }

  async #work(
    place: Place,
    request: SurgeRequest | null,
    signal: AbortSignal,
  ): Promise<Omit<SurgeEnded, "kind" | "at">> {
    await this.#measure(place, request === null, signal);
    for (const target of targetsOf(request))
      if (request !== null && !signal.aborted)
        await runTurn(place, target, request, (line) => this.#log.say(line), signal);
    if (signal.aborted) return { why: "stopped", text: "The surge was stopped." };
    return { why: "finished", text: request === null ? "This machine is measured." : "The surge is over." };
  }

  async #measure(place: Place, isWanted: boolean, signal: AbortSignal): Promise<void> {
    if (isWanted) this.#calibrated = undefined;
    this.#calibrated ??= await calibrate(place, (line) => this.#log.say(line), signal, this.#ramp);
    if (this.#calibrated !== undefined) this.#log.say(this.#calibrated);
  }

  #hello(): SurgeHello {
    return {
      ...{ kind: "hello", isRunning: this.#running !== undefined, calibrated: this.#calibrated ?? null },
      ...{ rateMin: RATE_MIN, rateMax: RATE_MAX, secondsMin: SECONDS_MIN, secondsMax: SECONDS_MAX },
    };
  }
}

function targetsOf(request: SurgeRequest | null): readonly SurgeTarget[] {
  if (request === null) return [];
  return request.mode === "both" ? ["direct", "buffer"] : [request.mode];
}
