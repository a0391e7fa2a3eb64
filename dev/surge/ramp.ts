/**
 * Measures what this machine can do, before any surge: how much the load generator offers to a server that does nothing, and at which
 * rate direct inserts break. The rates double, each for two seconds, so the answer is within a factor of two, after 20 seconds at most.
 */

import type { SurgeCalibrated, SurgeLine } from "../../lib/contract/surge.ts";
import { runLoad } from "../load/load.ts";
import type { LoadTick } from "../load/load-job.ts";
import { CONNECTIONS, offerTo } from "./offer.ts";
import type { Place } from "./place.ts";
import { startDirect, startEmpty } from "./targets.ts";
import { Teller } from "./teller.ts";

export interface RampSettings {
  /** Requests a second, rising. */
  rates: readonly number[];
  stepSeconds: number;
  /** How long the generator alone is measured. */
  generatorSeconds: number;
}

export const RAMP: RampSettings = {
  rates: [250, 500, 1000, 2000, 4000, 8000],
  stepSeconds: 2,
  generatorSeconds: 2,
};

const WARMUP_PER_SECOND = 100;
const WARMUP_SECONDS = 2;
const SLOW_MS = 1000;
/** A second that is answered to less than this is behind; the rest is what is on its way. */
const ANSWERED_MIN = 0.9;

type Why = Exclude<SurgeCalibrated["why"], null>;
type Say = (line: SurgeLine) => void;

/** Measures both. undefined: it was stopped. */
export async function calibrate(
  place: Place,
  say: Say,
  signal: AbortSignal,
  settings: RampSettings,
): Promise<SurgeCalibrated | undefined> {
  say({ kind: "step", text: "Measuring how many requests the load generator can offer on this machine …" });
  const generatorPerSecond = await measureGenerator(place, settings);
  if (signal.aborted) return undefined;
  say({ kind: "step", text: "Finding the rate at which direct inserts break on this machine …" });
  const found = await findBreak(place, say, signal, settings, generatorPerSecond);
  if (signal.aborted) return undefined;
  const calibrated = { kind: "calibrated", generatorPerSecond, ...found } as const;
  return { ...calibrated, text: sayCalibrated(calibrated) };
}

async function measureGenerator(place: Place, { generatorSeconds }: RampSettings): Promise<number> {
  const empty = await startEmpty(place);
  const phases = [{ seconds: generatorSeconds }];
  const { requests, seconds } = await runLoad({ port: empty.port, kind: "gps", phases });
  await empty.stop();
  return Math.round(requests / seconds);
}

/** Offers rate after rate to direct inserts, until they break. */
async function findBreak(
  place: Place,
  say: Say,
  signal: AbortSignal,
  { rates: wanted, stepSeconds }: RampSettings,
  generatorPerSecond: number,
): Promise<Pick<SurgeCalibrated, "heldPerSecond" | "brokePerSecond" | "why">> {
  const rates = wanted.filter((rate) => rate <= generatorPerSecond);
  const direct = await startDirect(place);
  const broken = new AbortController();
  const teller = new Teller(place, direct, { target: "direct", part: "ramp" }, say);
  const judge = new Judge(rates, stepSeconds);
  const steps = rates.map((perSecond) => ({ seconds: stepSeconds, perSecond }));
  const phases = [{ seconds: WARMUP_SECONDS, perSecond: WARMUP_PER_SECOND }, ...steps];
  await runLoad(
    { ...offerTo(direct), phases, connections: CONNECTIONS },
    {
      signal: AbortSignal.any([signal, broken.signal]),
      onTick: (tick) => {
        if (judge.why === undefined) teller.tell(tick, judge.rate ?? WARMUP_PER_SECOND);
        judge.see(tick);
        if (judge.why !== undefined) broken.abort();
      },
    },
  );
  await teller.end();
  await direct.stop();
  await place.sql.query(`truncate ${direct.name}`);
  return judge.found();
}

/**
 * Judges the ramp second by second. The first seconds are the warm-up. How slow a rate is and how far behind is judged in the last second of
 * its step, when it has settled; an error counts in each.
 */
export class Judge {
  readonly #rates: readonly number[];
  readonly #stepSeconds: number;
  /** Seconds of the ramp that are over, without the warm-up. */
  #seconds = -WARMUP_SECONDS;
  #why: Why | undefined;
  #brokeAt: number | undefined;

  constructor(rates: readonly number[], stepSeconds: number) {
    this.#rates = rates;
    this.#stepSeconds = stepSeconds;
  }

  /** Why direct inserts broke. */
  get why(): Why | undefined {
    return this.#why;
  }

  /** The rate of the second that is under way; undefined: the warm-up, or all rates were held. */
  get rate(): number | undefined {
    return this.#rates[this.#step];
  }

  get #step(): number {
    return Math.floor(this.#seconds / this.#stepSeconds);
  }

  /** The second that is under way has ended. */
  see({ offered, answered, errors, p99Ms }: LoadTick): void {
    if (this.#why !== undefined) return;
    const isLast = (this.#seconds + 1) % this.#stepSeconds === 0;
    if (this.rate !== undefined) {
      if (errors > 0) this.#break("errors");
      else if (isLast && (p99Ms ?? 0) > SLOW_MS) this.#break("slow");
      else if (isLast && answered < offered * ANSWERED_MIN) this.#break("behind");
    }
    this.#seconds += 1;
  }

  #break(why: Why): void {
    this.#why = why;
    this.#brokeAt = this.#step;
  }

  /** What it came to. */
  found(): Pick<SurgeCalibrated, "heldPerSecond" | "brokePerSecond" | "why"> {
    const held = this.#brokeAt ?? this.#rates.length;
    return {
      heldPerSecond: this.#rates[held - 1] ?? null,
      brokePerSecond: this.#rates[held] ?? null,
      why: this.#why ?? null,
    };
  }
}

const WHY: Record<Why, string> = {
  errors: "requests failed",
  slow: "one in a hundred waited longer than a second",
  behind: "fewer were answered than offered",
};

/** The sentence for people. */
export function sayCalibrated(of: Omit<SurgeCalibrated, "text">): string {
  const { heldPerSecond: held, brokePerSecond: broke, why, generatorPerSecond } = of;
  const number = (count: number) => count.toLocaleString("en-US");
  const reason = why === null ? "" : ` (${WHY[why]})`;
  const direct =
    broke === null
      ? `hold ${number(held ?? 0)} requests a second on this machine, the most that was tried`
      : held === null
        ? `break at ${number(broke)} requests a second on this machine${reason}`
        : `hold ${number(held)} requests a second on this machine, and break at ${number(broke)}${reason}`;
  return `Direct inserts ${direct}. The load generator alone can offer ${number(generatorPerSecond)}.`;
}
