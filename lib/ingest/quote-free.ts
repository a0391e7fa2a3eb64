/**
 * Takes out of a message the values of an event that it quotes. Messages of ours quote none, but a stream's schema may have messages of
 * its own. Whoever reads a refusal must not find a value in it.
 */

/** Messages that name types, bounds and allowed values only: ours, and those of zod. */
const PLAIN =
  /^(?:is not a field of this stream$|Invalid (?:input: expected [\w ]+, received \w+$|option: |key in |element in )|Too (?:small|big): |the stream's own code fails)/;

/** Values that are looked for. Of an event with more, a message is not told. */
const VALUES_MAX = 300;
/** Levels that are looked through. */
const LEVELS_MAX = 64;

/** Returns the message with `*` for each value that it quotes. */
export function withoutValues(message: string, event: unknown): string {
  if (PLAIN.test(message)) return message;
  const values: string[] = [];
  if (!collect(event, values, 0)) return "does not fit the schema";
  // The longest first: a value may stand within another one.
  return values.sort((a, b) => b.length - a.length).reduce(without, message);
}

/** Collects an event's values; false: there are too many. */
function collect(part: unknown, values: string[], level: number): boolean {
  if (values.length > VALUES_MAX || level > LEVELS_MAX) return false;
  if (typeof part === "string" || typeof part === "number") values.push(String(part));
  if (typeof part !== "object" || part === null) return true;
  return Object.values(part).every((inner) => collect(inner, values, level + 1));
}

/** A value counts as quoted if it stands by itself: the 5 of "at most 50" is none. */
function without(message: string, value: string): string {
  let found = "";
  let from = 0;
  for (let at = find(message, value, from); at !== -1; at = find(message, value, from)) {
    const end = at + value.length;
    found += isAlone(message, at, end) ? `${message.slice(from, at)}*` : message.slice(from, end);
    from = end;
  }
  return found + message.slice(from);
}

const find = (message: string, value: string, from: number): number =>
  value === "" ? -1 : message.indexOf(value, from);

const isAlone = (message: string, at: number, end: number): boolean =>
  !/[\p{L}\p{N}]/u.test(message.charAt(at - 1)) && !/[\p{L}\p{N}]/u.test(message.charAt(end));
