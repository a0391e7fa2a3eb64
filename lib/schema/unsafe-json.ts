/**
 * Finds values that would poison a batch, or would change on their way to Postgres. Ingest rejects them:
 *
 * - NUL and lone surrogates: no text or jsonb column holds them.
 * - `__proto__` keys: copies of objects lose them.
 * - Numbers that are not finite, and integers beyond ±(2^53−1): JSON.parse changes them.
 * - Nesting deeper than 64.
 *
 * A walk through every value would cost more than parsing it. So the raw text is looked at first. If `mayHoldUnsafeText` says no,
 * and `split-events.ts` counted few levels and saw no risky number, its values are safe.
 */
import type { InputError } from "./input-error.ts";

/** The most levels of objects and arrays in one event. */
export const NESTING_MAX = 64;

/** An escape that can spell NUL, a surrogate or `__proto__`. */
const ESCAPE = /\\u(?:00|d[89a-f])/i;

/** Whether the raw text may spell NUL, a lone surrogate or `__proto__`, so that its value must be searched. */
export const mayHoldUnsafeText = (text: string): boolean =>
  text.includes("__proto__") || (text.includes("\\u") && ESCAPE.test(text));

/** Finds the first unsafe value in a parsed value, with its path; undefined: it has none. */
export function findUnsafeValue(value: unknown, path: (string | number)[] = []): InputError | undefined {
  if (typeof value === "string") return at(path, errorOfText(value));
  if (typeof value === "number") return at(path, errorOfNumber(value));
  if (typeof value !== "object" || value === null) return undefined;
  if (path.length >= NESTING_MAX) return at(path.slice(0, 3), `nested deeper than ${NESTING_MAX} levels`);
  return Array.isArray(value) ? errorInItems(value, path) : errorInFields(value, path);
}

function errorInItems(items: readonly unknown[], path: (string | number)[]): InputError | undefined {
  for (let i = 0; i < items.length; i++) {
    path.push(i);
    const error = findUnsafeValue(items[i], path);
    if (error) return error;
    path.pop();
  }
  return undefined;
}

function errorInFields(fields: object, path: (string | number)[]): InputError | undefined {
  for (const key of Object.keys(fields)) {
    const error = at(path, errorOfText(key));
    if (error) return error;
    path.push(key);
    if (key === "__proto__") return at(path, 'the key "__proto__" is not accepted');
    const inner = findUnsafeValue((fields as Record<string, unknown>)[key], path);
    if (inner) return inner;
    path.pop();
  }
  return undefined;
}

const at = (path: readonly (string | number)[], message: string | undefined): InputError | undefined =>
  message === undefined ? undefined : { path: path.join("."), message };

function errorOfText(text: string): string | undefined {
  if (text.includes("\0")) return "contains the character NUL (U+0000)";
  return text.isWellFormed() ? undefined : "contains a lone surrogate, which is no Unicode character";
}

function errorOfNumber(value: number): string | undefined {
  if (!Number.isFinite(value)) return "is not a finite number; send it as a string";
  if (Number.isInteger(value) && !Number.isSafeInteger(value))
    return "is an integer beyond ±(2^53−1); send it as a string";
  return undefined;
}
