/**
 * Derives a value that a zod schema accepts. Proposes candidates by the schema's type and bounds; the schema itself
 * decides which one fits, at every level. So a refinement or a transform leads to no example rather than to a wrong one.
 *
 * Values are what a client sends: the input side of pipes, codecs and transforms.
 */
import { z } from "zod";
import { describeSchema, Gap, isTooDeep } from "./example-gap.ts";
import { sampleNumbers } from "./sample-number.ts";
import { sampleTexts } from "./sample-text.ts";
import type { Json } from "./stream.ts";

type Schema = z.core.$ZodType;

export interface Variant {
  /** Varies the values. */
  i: number;
  /** Short texts and whole numbers only, which more columns hold. */
  isSmall: boolean;
}

interface At extends Variant {
  path: readonly string[];
  /** The schemas around this one, the outermost first. */
  within: readonly Schema[];
}

/** On one way into the event, one schema may stand within itself: a tree has two levels or three. More take too long. */
const RECURRENCES_MAX = 1;
/** Levels at which a schema that makes itself anew at each level ends. */
const DEPTH_MAX = 64;

/** Returns a value that the schema accepts, or why it knows none. */
export const deriveExample = (schema: Schema, variant: Variant): unknown =>
  derive(schema, { ...variant, path: [], within: [] });

/** Whether a schema accepts a value. A schema that throws (its transform, an async refinement) does not. */
function accepts(schema: Schema, value: unknown): boolean {
  try {
    return z.safeParse(schema, value).success;
  } catch {
    return false;
  }
}

/** The first candidate that the schema accepts, else the first gap inside, else a gap here. */
function derive(schema: Schema, at: At): unknown {
  const recurrences = at.within.length - new Set(at.within).size;
  const isRecursion =
    at.within.length > DEPTH_MAX || (at.within.includes(schema) && recurrences >= RECURRENCES_MAX);
  if (isRecursion) return new Gap(at.path, "recursion", true);
  let gap: Gap | undefined;
  for (const candidate of candidatesOf(schema, { ...at, within: [...at.within, schema] })) {
    if (candidate instanceof Gap) gap = gap === undefined || gap.isTooDeep ? candidate : gap;
    else if (accepts(schema, candidate)) return candidate;
  }
  return gap ?? new Gap(at.path, describeSchema(schema));
}

/** The i-th first, then the others in their order. */
const rotate = <T>(values: readonly T[], i: number): T[] => {
  const start = values.length === 0 ? 0 : i % values.length;
  return [...values.slice(start), ...values.slice(0, start)];
};

const inside = (at: At, key: string | number, i = at.i): At => ({ ...at, i, path: [...at.path, `${key}`] });

const isJson = (value: unknown) => typeof value !== "bigint" && typeof value !== "symbol";

/** Any JSON: what a jsonb column keeps, with the values that are easily changed on the way. */
const ANY_JSON: readonly Json[] = [
  { key: "value" },
  1,
  "text",
  'äöü 😀 "quoted" \\ \n',
  true,
  false,
  [],
  {},
  { a: [{ b: null }] },
  [[1.5, -0.25]],
];

/** Proposes values, and gaps where a part of the schema has no example. Types that JSON cannot carry have none. */
function* candidatesOf(schema: Schema, at: At): Generator {
  const { def } = (schema as z.core.$ZodTypes)._zod;
  switch (def.type) {
    case "string":
      return yield* sampleTexts(def, at.i, at.isSmall);
    case "number":
      return yield* sampleNumbers(def, at.i, at.isSmall);
    case "boolean":
      return yield at.i % 2 === 0;
    case "enum":
    case "literal":
      return yield* rotate([...(schema._zod.values ?? [])].filter(isJson), at.i);
    case "null":
      return yield null;
    case "undefined":
    case "void":
      return yield undefined;
    case "any":
    case "unknown":
    case "custom":
      return yield* rotate(ANY_JSON, at.i);
    case "bigint":
    case "date": // accepted as text or number where it is coerced, else not at all
      return yield* sampleTexts({ type: "string" }, at.i, at.isSmall);
    default:
      return yield* candidatesOfParts(schema as z.core.$ZodTypes, at);
  }
}

/** The same for types that are made of others. */
function* candidatesOfParts(schema: z.core.$ZodTypes, at: At): Generator {
  const { def } = schema._zod;
  switch (def.type) {
    case "object":
      return yield* objectsOf(def, at);
    case "array":
      return yield* arraysOf(def, at);
    case "tuple":
      return yield* tuplesOf(def, at);
    case "record":
      return yield* recordsOf(def, at);
    case "union":
      return yield* optionsOf(def, at);
    case "intersection":
      return yield* intersectionsOf(def, at);
    case "nullable":
      return yield* nullablesOf(def, at);
    case "template_literal":
      return yield* templatesOf(def, at);
    case "pipe":
      return yield* pipesOf(schema as z.core.$ZodPipe, at);
    case "lazy":
      return yield derive(def.getter(), at);
    case "optional":
    case "nonoptional":
    case "default":
    case "prefault":
    case "catch":
    case "readonly":
    case "success":
      return yield* candidatesOf(def.innerType, at);
  }
}

/** Each option in turn. Its own values advance once a round: else an option would have only some of them. */
function* optionsOf({ options }: z.core.$ZodUnionDef, at: At): Generator {
  const round = { ...at, i: Math.floor(at.i / options.length) };
  for (const option of rotate(options, at.i)) yield derive(option, round);
}

/** How many parts an array or a record has: 1, 2, 0, 1 … within its bounds; then the fewest, but one if it may. */
function countsOf(checks: readonly z.core.$ZodCheck<never>[] | undefined, { i, isSmall }: At): number[] {
  const bounds = (checks ?? []).map(({ _zod }) => _zod.def as unknown as Record<string, number | undefined>);
  const min = Math.max(0, ...bounds.flatMap(({ minimum, length }) => minimum ?? length ?? []));
  const max = Math.min(...bounds.flatMap(({ maximum, length }) => maximum ?? length ?? []));
  const wanted = isSmall ? 1 : (i + 1) % 3;
  return [...new Set([wanted, 1].map((count) => Math.min(Math.max(count, min), max)))];
}

function* arraysOf(def: z.core.$ZodArrayDef, at: At): Generator {
  for (const count of countsOf(def.checks, at)) {
    const items = Array.from({ length: count }, (_, k) => derive(def.element, inside(at, k, at.i + k)));
    yield orGap(items, items);
    if (items.some(isTooDeep)) yield [];
  }
}

function* tuplesOf(def: z.core.$ZodTupleDef, at: At): Generator {
  const schemas = def.rest !== null && at.i % 2 === 1 ? [...def.items, def.rest] : def.items;
  const items = schemas.map((item, k) => derive(item, inside(at, k)));
  yield orGap(items, items);
  const end = items.findIndex(isTooDeep);
  if (end !== -1) yield items.slice(0, end);
}

function* objectsOf(def: z.core.$ZodObjectDef, at: At): Generator {
  const fields = Object.entries(def.shape)
    .map(([key, field]) => ({ key, field, value: derive(field, inside(at, key)) }))
    .filter(({ field, value }) => !(isTooDeep(value) && field._zod.optin !== undefined))
    .filter(({ value }) => value !== undefined);
  yield orGap(
    Object.fromEntries(fields.map(({ key, value }) => [key, value])),
    fields.map(({ value }) => value),
  );
}

function* recordsOf(def: z.core.$ZodRecordDef, at: At): Generator {
  const known = def.keyType._zod.values;
  for (const count of known ? [known.size] : countsOf(def.checks, at)) {
    const keys = known
      ? [...known]
      : Array.from({ length: count }, (_, k) => derive(def.keyType, inside(at, "(key)", at.i + k)));
    const entries = keys.map((key) => [key, derive(def.valueType, inside(at, String(key)))] as const);
    yield orGap(Object.fromEntries(entries), entries.flat());
    if (entries.some(([, value]) => isTooDeep(value))) yield {};
  }
}

function* intersectionsOf(def: z.core.$ZodIntersectionDef, at: At): Generator {
  const both = [derive(def.left, at), derive(def.right, at)] as const;
  const areObjects = both.every((one) => typeof one === "object" && one !== null && !Array.isArray(one));
  yield orGap(areObjects ? Object.assign({}, ...both) : both[0], both);
  if (!areObjects) yield both[1];
}

/** Now and then null. Where the schema recurs, null ends it. */
function* nullablesOf(def: z.core.$ZodNullableDef, at: At): Generator {
  if (at.i % 5 === 4) yield null;
  let endsHere = false;
  for (const candidate of candidatesOf(def.innerType, at)) {
    endsHere ||= isTooDeep(candidate);
    yield candidate;
  }
  if (endsHere) yield null;
}

function* templatesOf(def: z.core.$ZodTemplateLiteralDef, at: At): Generator {
  const parts = def.parts.map((part) =>
    typeof part === "object" && part !== null && "_zod" in part ? derive(part, at) : part,
  );
  yield orGap(parts.join(""), parts);
}

/** The input side. Nobody knows the input of z.preprocess, so its example is one of what it passes on. */
function* pipesOf(schema: z.core.$ZodPipe, at: At): Generator {
  const { def, bag } = schema._zod;
  const { truthy = [], falsy = [] } = bag as { truthy?: readonly string[]; falsy?: readonly string[] };
  yield* rotate([...truthy.slice(0, 1), ...falsy.slice(0, 1)], at.i); // z.stringbool
  yield* candidatesOf(def.in._zod.def.type === "transform" ? def.out : def.in, at);
}

/** The whole, or the first gap among its parts. */
const orGap = (whole: unknown, parts: readonly unknown[]): unknown =>
  parts.find((part) => part instanceof Gap) ?? whole;
