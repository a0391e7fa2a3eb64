/** Reads from a schema whether its output is a value, or may be absent. */
import type { z } from "zod";

type Schema = z.core.$ZodType;

/** Whether an output is neither undefined nor null: always, maybe not, or nobody knows. */
export type Presence = "always" | "maybe" | "unknown";

/** What an output may be beside a value. `unknown`: only its own code knows. */
type Absence = "undefined" | "null" | "unknown";

/** Says whether a schema's output is neither undefined nor null. */
export function presenceOf(schema: Schema): Presence {
  const absences = absencesOf(schema, []);
  if (absences.includes("undefined") || absences.includes("null")) return "maybe";
  return absences.length > 0 ? "unknown" : "always";
}

/** `within`: the schemas around this one; a schema that stands within itself says nothing more. */
function absencesOf(part: Schema, within: readonly Schema[]): readonly Absence[] {
  if (within.includes(part)) return [];
  const schema = part as z.core.$ZodTypes;
  const inside = (inner: Schema) => absencesOf(inner, [...within, part]);
  const { def } = schema._zod;
  switch (def.type) {
    case "any":
    case "unknown":
    case "custom":
    case "transform":
    case "promise":
      return ["unknown"];
    case "null":
      return ["null"];
    case "undefined":
    case "void":
      return ["undefined"];
    case "literal":
      return def.values.flatMap((value) =>
        value === undefined ? "undefined" : value === null ? "null" : [],
      );
    case "optional":
      return [...inside(def.innerType), "undefined"];
    case "nullable":
      return [...inside(def.innerType), "null"];
    case "default":
    case "nonoptional":
      return inside(def.innerType).filter((absence) => absence !== "undefined");
    case "success":
      return [];
    default:
      return absencesOfParts(schema, inside);
  }
}

/** The same for types that are made of others. */
function absencesOfParts(
  schema: z.core.$ZodTypes,
  inside: (inner: Schema) => readonly Absence[],
): readonly Absence[] {
  const { def } = schema._zod;
  switch (def.type) {
    case "union":
      return def.options.flatMap(inside);
    case "intersection": {
      const [left, right] = [inside(def.left), inside(def.right)];
      return left.length === 0 || right.length === 0 ? [] : [...left, ...right];
    }
    case "pipe":
      return inside(def.out);
    case "lazy":
      return inside((schema as z.core.$ZodLazy)._zod.innerType);
    default:
      return "innerType" in def ? inside(def.innerType) : [];
  }
}
