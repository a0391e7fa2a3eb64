/** What a surge may be asked for, and the sentence for anything else. */
import type { SurgeMode, SurgeRequest } from "../../lib/contract/surge.ts";

export const RATE_MIN = 50;
export const RATE_MAX = 5000;
export const SECONDS_MIN = 5;
export const SECONDS_MAX = 60;
const MODES: readonly SurgeMode[] = ["direct", "buffer", "both"];

/** A surge that is not begun; the message is a sentence for people. */
export class SurgeRefused extends Error {
  override name = "SurgeRefused";
  /** As HTTP has it: 400, the request makes no sense; 409, something else runs. */
  readonly status: 400 | 409;

  constructor(status: 400 | 409, message: string) {
    super(message);
    this.status = status;
  }
}

/** Reads a request. Throws a SurgeRefused that names the first thing that is wrong. */
export function readSurgeRequest(given: unknown): SurgeRequest {
  const { rate, seconds, mode } = (typeof given === "object" && given !== null ? given : {}) as Record<
    string,
    unknown
  >;
  return {
    rate: within("rate", rate, RATE_MIN, RATE_MAX, "requests a second"),
    seconds: within("seconds", seconds, SECONDS_MIN, SECONDS_MAX, "seconds"),
    mode: modeOf(mode),
  };
}

function within(name: string, value: unknown, min: number, max: number, unit: string): number {
  if (typeof value === "number" && Number.isInteger(value) && value >= min && value <= max) return value;
  throw new SurgeRefused(
    400,
    `${name}: expected a whole number from ${min} to ${max} (${unit}), got ${textOf(value)}.`,
  );
}

function modeOf(value: unknown): SurgeMode {
  const mode = MODES.find((one) => one === value);
  if (mode !== undefined) return mode;
  throw new SurgeRefused(400, `mode: expected direct, buffer or both, got ${textOf(value)}.`);
}

const textOf = (value: unknown): string =>
  value === undefined ? "nothing" : (JSON.stringify(value)?.slice(0, 40) ?? typeof value);
