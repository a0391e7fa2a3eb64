/**
 * Caps what a sender is told of its errors, so that no answer is much larger than what was sent. Each rejected event keeps its
 * index and its first error always, so that a partial answer stays usable. Only further errors and long texts are cut, and the
 * answer says how much was cut.
 */
import type { InputError } from "../schema/input-error.ts";

/** The most errors of one event. */
export const EVENT_MAX_ERRORS = 20;
/** Errors of one request after which only the first of each further event is told. */
const REQUEST_MAX_ERRORS = 100;
/** The most characters of a path or a message: both can repeat what was sent. */
const TEXT_MAX = 200;

export interface Capped {
  errors: InputError[];
  /** How many errors are left out; absent: none. */
  more?: number;
}

/** Caps the errors of one request's events, one event after the other. */
export class ErrorCap {
  #left = REQUEST_MAX_ERRORS;

  /** Caps one event's errors. There is at least one, and there are `further` ones beside these. */
  cap(errors: readonly InputError[], further = 0): Capped {
    const kept = errors.slice(0, Math.max(1, Math.min(EVENT_MAX_ERRORS, this.#left)));
    this.#left = Math.max(0, this.#left - kept.length);
    const more = errors.length - kept.length + further;
    const told = kept.map(({ path, message }) => ({ path: shorten(path), message: shorten(message) }));
    return more > 0 ? { errors: told, more } : { errors: told };
  }
}

function shorten(text: string): string {
  if (text.length <= TEXT_MAX) return text;
  return `${text.slice(0, TEXT_MAX).toWellFormed()}… (${text.length - TEXT_MAX} more characters)`;
}
