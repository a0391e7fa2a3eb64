/**
 * Writes the JSON schema of a zod type that has no parts, by `z.toJSONSchema`, and takes out of it whatever would refuse an event that the
 * door accepts: checks of a value that was changed before, patterns that a JSON schema reads differently, divisors that binary numbers
 * miss.
 */
import { z } from "zod";
import type { JsonSchema } from "./json-schema-forms.ts";

type Schema = z.core.$ZodType;

/** Formats that JSON schema defines. zod has more names, which say nothing to others. */
const FORMATS = new Set([
  ...["date-time", "date", "duration", "email", "idn-email", "hostname"],
  ...["ipv4", "ipv6", "uri", "uuid"],
]);

/** The checks of a value as it came: those before the first that changes it (trim, overwrite). */
export function checksOfInput({ checks = [] }: z.core.$ZodTypeDef): readonly z.core.$ZodCheck<never>[] {
  const change = checks.findIndex(({ _zod }) => _zod.def.check === "overwrite");
  return change === -1 ? checks : checks.slice(0, change);
}

/** Writes a type. `parts` stand in place of the parts that it has. */
export function leafOf(schema: Schema, parts: Readonly<Record<string, unknown>> = {}): JsonSchema {
  const { def } = schema._zod;
  const checks = checksOfInput(def);
  const asCame = z.core.clone(schema, { ...def, ...parts, checks: [...checks] } as never);
  const { $schema: _, ...json } = z.toJSONSchema(asCame, { io: "input", unrepresentable: "any" });
  return def.type === "string"
    ? textOf(json as JsonSchema, [def, ...checks.map(({ _zod }) => _zod.def)])
    : def.type === "number"
      ? numberOf(json as JsonSchema)
      : (json as JsonSchema);
}

/** A text, with the patterns that mean the same everywhere. */
function textOf(json: JsonSchema, defs: readonly object[]): JsonSchema {
  const { pattern: _, allOf: __, format, ...rest } = json;
  const given = defs.flatMap((def) => ("pattern" in def && def.pattern instanceof RegExp ? def.pattern : []));
  const patterns = given.filter(meansTheSame).map(({ source }) => source);
  return {
    ...rest,
    ...(FORMATS.has(String(format)) ? { format } : {}),
    ...(patterns.length === 1 ? { pattern: patterns[0] } : {}),
    ...(patterns.length > 1 ? { allOf: patterns.map((pattern) => ({ pattern })) } : {}),
  };
}

/** A part of a pattern that takes any character, or all but some. */
const WILD = /(?:(?<!\\)\.|\\[WDSP]|\[\^)/;
/** A wild part that must match twice: it may match both halves of one character. */
const WILD_TWICE =
  /(?:(?<!\\)\.|\\[WDS]|\[\^(?:\\.|[^\]\\])*\])(?:\{(?:[2-9]|1\d)|[+*?]?(?:\.|\\[WDS]|\[\^))/;

/**
 * Whether a pattern accepts the same texts in a JSON schema: there it has no flags but u. Without u, a character beyond U+FFFF counts
 * twice, so a pattern that counts any characters may accept what it would refuse with u.
 */
function meansTheSame({ source, flags }: RegExp): boolean {
  if (/[imsvy]/.test(flags)) return false;
  if (!flags.includes("u") && WILD.test(source) && WILD_TWICE.test(source)) return false;
  try {
    return new RegExp(source, "u").source !== "";
  } catch {
    return false; // only without u a pattern
  }
}

const SAFE_MAX = Number.MAX_SAFE_INTEGER;

/** A number within the bounds of the door: beyond them each double is an integer that may have been another one. */
function numberOf(json: JsonSchema): JsonSchema {
  const { multipleOf, allOf: _, ...rest } = json;
  const isLow = typeof rest.exclusiveMinimum !== "number" || rest.exclusiveMinimum < -SAFE_MAX;
  const isHigh = typeof rest.exclusiveMaximum !== "number" || rest.exclusiveMaximum > SAFE_MAX;
  return {
    ...rest,
    ...(isLow ? { minimum: Math.max(-SAFE_MAX, Number(rest.minimum ?? -SAFE_MAX)) } : {}),
    ...(isHigh ? { maximum: Math.min(SAFE_MAX, Number(rest.maximum ?? SAFE_MAX)) } : {}),
    ...(Number.isInteger(multipleOf) ? { multipleOf } : {}),
  };
}
