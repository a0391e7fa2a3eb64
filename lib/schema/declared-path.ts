/**
 * Makes a path to a field tellable: names that a schema declares stay, and any other becomes `*`, because a sender may put personal data
 * into the name of a field. Places in arrays stay.
 *
 * In a CloudEvent, an event's fields are below `data`, or are attributes; an extension's name is not declared.
 */
import type { z } from "zod";

type Schema = z.core.$ZodType;

/** Where an event has its id, and the attributes of a CloudEvent. */
const OUTER = new Set(
  "id source specversion type subject time datacontenttype dataschema data data_base64".split(" "),
);

/** Returns the path with `*` for each name that the schema does not declare. */
export function declaredPath(schema: Schema, path: string): string {
  if (path === "") return "";
  const [first = "", ...rest] = path.split(".");
  const inside = within([schema], first);
  if (inside.length > 0) return [first, ...declared(inside, rest)].join(".");
  if (first === "data") return [first, ...declared([schema], rest)].join(".");
  return [OUTER.has(first) ? first : "*", ...declared([], rest)].join(".");
}

/** `schemas`: any of them may be the one of the value that the first name is a part of. */
function declared(schemas: readonly Schema[], [name, ...rest]: readonly string[]): string[] {
  if (name === undefined) return [];
  const inside = within(schemas, name);
  return [inside.length > 0 ? name : "*", ...declared(inside, rest)];
}

/** The schemas of a part of a value; none: no schema declares it. */
const within = (schemas: readonly Schema[], name: string): Schema[] =>
  schemas
    .flatMap((one) => unwrap(one))
    .flatMap((schema): Schema[] => {
      const { def } = (schema as z.core.$ZodTypes)._zod;
      if (def.type === "object") return Object.hasOwn(def.shape, name) ? [def.shape[name] as Schema] : [];
      if (!/^\d{1,6}$/.test(name)) return [];
      if (def.type === "array") return [def.element];
      if (def.type === "tuple") return [def.items[Number(name)] ?? def.rest].filter((one) => one != null);
      return [];
    });

/** Levels of optional, nullable, union and the like: a schema may stand within itself. */
const LEVELS_MAX = 10;

/** The schemas that a value may have to fulfil, without what stands around them. */
function unwrap(part: Schema, level = 0): Schema[] {
  if (level === LEVELS_MAX) return [];
  const schema = part as z.core.$ZodTypes;
  const { def } = schema._zod;
  const inner = (one: Schema) => unwrap(one, level + 1);
  switch (def.type) {
    case "union":
      return def.options.flatMap(inner);
    case "intersection":
      return [def.left, def.right].flatMap(inner);
    case "pipe":
      return [def.in, def.out].flatMap(inner);
    case "lazy":
      return inner((schema as z.core.$ZodLazy)._zod.innerType);
    default:
      return "innerType" in def ? inner(def.innerType as Schema) : [part];
  }
}
