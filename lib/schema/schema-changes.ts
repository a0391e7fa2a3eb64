/** Says whether a schema hands on a value as it came, or its code may change it. */
import type { z } from "zod";

type Schema = z.core.$ZodType;

/** Types that make another value than they got, or of which nobody knows. */
const CHANGING = new Set(["transform", "catch", "success", "promise", "map", "set", "date", "file"]);

/**
 * Whether a value that is there comes out as it went in. A default fills in only what is absent. `isShallow`: the fields of objects
 * don't count. A check of a schema's own (`.check`) may assign a value, and nobody can see that.
 */
export const isUnchanged = (schema: Schema, isShallow = false): boolean => look(schema, isShallow, []);

function look(part: Schema, isShallow: boolean, within: readonly Schema[]): boolean {
  if (within.includes(part)) return true;
  const schema = part as z.core.$ZodTypes;
  const { def } = schema._zod;
  const inside = (inner: Schema) => look(inner, isShallow, [...within, part]);
  if (CHANGING.has(def.type) || isChangedHere(def)) return false;
  switch (def.type) {
    case "object":
      return isShallow || Object.values(def.shape).every(inside);
    case "record":
      return isShallow || inside(def.valueType);
    case "array":
      return inside(def.element);
    case "tuple":
      return def.items.every(inside) && (def.rest === null || inside(def.rest));
    case "union":
      return def.options.every(inside);
    case "intersection":
      return inside(def.left) && inside(def.right);
    case "pipe":
      return !isCodec(def) && inside(def.in) && inside(def.out);
    case "lazy":
      return inside((schema as z.core.$ZodLazy)._zod.innerType);
    default:
      return "innerType" in def ? inside(def.innerType) : true;
  }
}

/** Whether a pipe makes another value between its two sides, as a codec does. */
export const isCodec = (def: z.core.$ZodPipeDef): boolean =>
  "transform" in def && def.transform !== undefined;

/** A type or a check that converts, trims, overwrites or normalizes. */
function isChangedHere(def: z.core.$ZodTypeDef & { coerce?: boolean; normalize?: boolean }): boolean {
  const checks = (def.checks ?? []).map(({ _zod }) => _zod.def as { check: string; normalize?: boolean });
  return (
    def.coerce === true ||
    def.normalize === true ||
    checks.some(({ check, normalize }) => check === "overwrite" || normalize === true)
  );
}
