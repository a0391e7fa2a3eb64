/** Changes to an accepted event, found by the behaviour of its stream's schema, whatever kind of schema that is. */
import { type Example, errorsOfExample } from "../lib/schema/example.ts";
import type { Stream } from "../lib/schema/stream.ts";

/** A key that no schema names. */
export const UNKNOWN = "unheardOf";

const without = (event: Example, field: string): Example => {
  const { [field]: _, ...rest } = event;
  return rest;
};

/** The event without each field that may be left out. */
export function minimalOf(stream: Stream, example: Example): Example {
  let minimal = example;
  for (const field of Object.keys(example)) {
    const rest = without(minimal, field);
    if (errorsOfExample(stream, rest).length === 0) minimal = rest;
  }
  return minimal;
}

export interface MissingField {
  field: string;
  /** The event without it. */
  rest: Example;
  /** Whether the schema blames the field by its name. */
  isNamed: boolean;
}

/** The fields without which an event is refused, each with one such event. */
export function fieldsThatMustBeThere(stream: Stream, examples: readonly Example[]): MissingField[] {
  const found = new Map<string, MissingField>();
  for (const example of examples)
    for (const field of Object.keys(example)) {
      const rest = without(example, field);
      const errors = errorsOfExample(stream, rest);
      if (errors.length === 0 || found.has(field)) continue;
      found.set(field, { field, rest, isNamed: errors.every(({ path }) => path === field) });
    }
  return [...found.values()];
}

/** Events with an unknown key in a nested object, where the schema refuses it there; one for each place. */
export function addUnknownKeys(
  stream: Stream,
  examples: readonly Example[],
): { path: string; event: Example }[] {
  const found = new Map<string, Example>();
  for (const example of examples)
    for (const path of nestedObjects(example)) {
      const event = structuredClone(example);
      const parent = path.reduce((value, key) => (value as Example)[key], event as unknown) as Example;
      parent[UNKNOWN] = 1;
      const { error } = stream.parse(event);
      const isRefusedThere = error?.issues.some(
        ({ code, path: at }) => code === "unrecognized_keys" && at.join(".") === path.join("."),
      );
      if (isRefusedThere) found.set([...path, UNKNOWN].join("."), event);
    }
  return [...found].map(([path, event]) => ({ path, event }));
}

/** The paths of the objects inside a value. */
function nestedObjects(value: unknown, path: readonly string[] = []): (readonly string[])[] {
  if (typeof value !== "object" || value === null) return [];
  const inner = Object.entries(value).flatMap(([key, one]) => nestedObjects(one, [...path, key]));
  return path.length === 0 || Array.isArray(value) ? inner : [path, ...inner];
}
