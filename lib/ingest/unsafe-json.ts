/**
 * Finds values that would poison a batch, or would change on their way to Postgres. Ingest rejects them:
 *
 * - NUL and lone surrogates: no text or jsonb column holds them.
 * - `__proto__` keys: copies of objects lose them.
 * - Numbers that are not finite, and integers beyond ±(2^53−1): JSON.parse changes them.
 * - Nesting deeper than 64.
 *
 * A walk through every value would cost more than parsing it. So `hasUnsafeMarks` looks at the raw text first. If the text has
 * none of these marks, its values are safe.
 */
import type { InputError } from "../schema/input-error.ts";

/** The most levels of objects and arrays in one event. */
export const NESTING_MAX = 64;

/** An escape that can spell NUL, a surrogate or `__proto__`. */
const ESCAPE = /\\u(?:00|d[89a-f])/i;
/** A long run of digits, or an exponent. */
const NUMBER = /\d(?:\d{15}|[eE][+-]?\d)/;

/** Whether the text has one of the marks, except nesting. One expression for all of them takes half as long again. */
const hasUnsafeLiteral = (text: string): boolean =>
  text.includes("__proto__") || (text.includes("\\u") && ESCAPE.test(text)) || NUMBER.test(text);

/** Whether the raw text has a mark, so that its value must be searched. */
export function hasUnsafeMarks(text: string): boolean {
  return hasUnsafeLiteral(text) || (opensMoreThan(text, NESTING_MAX) && nestsDeeperThan(text, NESTING_MAX));
}

/** Whether the text has more than `limit` opening brackets. With fewer it cannot nest deeper than `limit`. */
function opensMoreThan(text: string, limit: number): boolean {
  let opens = 0;
  for (const bracket of ["{", "["])
    for (let at = text.indexOf(bracket); at !== -1; at = text.indexOf(bracket, at + 1))
      if (++opens > limit) return true;
  return false;
}

/** Whether the brackets outside strings nest deeper than `limit`. Takes one pass, and expects valid JSON. */
function nestsDeeperThan(text: string, limit: number): boolean {
  let depth = 0;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === 0x22) at = endOfString(text, at);
    else if (code === 0x7b || code === 0x5b) {
      if (++depth > limit) return true;
    } else if (code === 0x7d || code === 0x5d) depth -= 1;
  }
  return false;
}

/** Finds the end of the string that begins at `start`: the next quote that is not escaped. */
function endOfString(text: string, start: number): number {
  for (let end = text.indexOf('"', start + 1); end !== -1; end = text.indexOf('"', end + 1)) {
    let slashes = 0;
    while (text.charCodeAt(end - 1 - slashes) === 0x5c) slashes += 1;
    if (slashes % 2 === 0) return end;
  }
  return text.length;
}

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
