/**
 * Takes null for absence: a null is left out of an event if its field may be absent and its schema does not take null itself.
 * A browser, for instance, sends `speed: null` for a speed that it does not know.
 *
 * - A field may be absent if it is optional or has a default, or if it is an entry of a record; at any depth.
 * - A schema takes null if it says so: nullable, z.any(), a preprocess that accepts null. Coercion is no such word: it makes 0 of
 *   a speed that is null.
 * - Items of arrays, keys that the schema does not know, and everything inside of `json()` stay as they are.
 */
import { z } from "zod";

type Schema = z.core.$ZodType;
type Fields = Record<string, unknown>;

/** Returns a part of an event without such nulls: the same value if it has none. */
type Drop = (schema: Schema, value: unknown) => unknown;
/** The same for one schema. */
type Dropper = (value: object) => unknown;

/**
 * Makes the function that leaves such nulls out of a schema's events. A schema that stands within an event is read once, when a
 * value comes for it: it may stand within itself.
 */
export function nullDropper(schema: Schema): (event: unknown) => unknown {
  const droppers = new Map<Schema, Dropper | undefined>();
  const drop: Drop = (part, value) => {
    if (typeof value !== "object" || value === null) return value;
    if (!droppers.has(part)) droppers.set(part, dropperOf(part as z.core.$ZodTypes, drop));
    const dropper = droppers.get(part);
    return dropper ? dropper(value) : value;
  };
  return (event) => drop(schema, event);
}

/** Returns the function for one schema; undefined: no null is left out of its values. */
function dropperOf(schema: z.core.$ZodTypes, drop: Drop): Dropper | undefined {
  const { def } = schema._zod;
  switch (def.type) {
    case "object":
      return objectDropper(def, drop);
    case "record":
      return recordDropper(def, drop);
    case "array":
      return itemsDropper(() => def.element, drop);
    case "tuple":
      return itemsDropper((i) => def.items[i] ?? def.rest ?? undefined, drop);
    case "union":
      return unionDropper(def, drop);
    case "intersection":
      return unlessAccepted(schema, (value) => drop(def.right, drop(def.left, value)));
    case "pipe":
      if (isTransform(def.out)) return (value) => drop(def.in, value);
      return unlessAccepted(schema, (value) => drop(def.out, drop(def.in, value)));
    case "lazy":
      return (value) => drop((schema as z.core.$ZodLazy)._zod.innerType, value);
    default:
      return "innerType" in def ? (value) => drop(def.innerType, value) : undefined;
  }
}

const isTransform = (schema: Schema): boolean => schema._zod.def.type === "transform";

const accepts = (schema: Schema, value: unknown): boolean => z.safeParse(schema, value).success;

/** Whether a schema takes null as a value of its own. `outer`: the schemas within which it stands; it may be one of them. */
function takesNull(schema: z.core.$ZodTypes, outer: readonly Schema[] = []): boolean {
  if (outer.includes(schema)) return false;
  const { def } = schema._zod;
  const within = (inner: Schema) => takesNull(inner as z.core.$ZodTypes, [...outer, schema]);
  if ("coerce" in def && def.coerce) return false;
  if (def.type === "pipe" && !isTransform(def.in)) return within(def.in);
  if (def.type === "union") return def.options.some(within);
  if (def.type === "lazy") return within((schema as z.core.$ZodLazy)._zod.innerType);
  if (def.type !== "nullable" && "innerType" in def) return within(def.innerType);
  try {
    return accepts(schema, null);
  } catch {
    return false; // a check of the schema's own reads a property of it
  }
}

/** Returns what becomes of a field; undefined: it is left out. */
function fieldDropper(schema: Schema, mayBeAbsent: boolean, drop: Drop) {
  const isNullAbsence = mayBeAbsent && !takesNull(schema as z.core.$ZodTypes);
  return (value: unknown) => (value === null && isNullAbsence ? undefined : drop(schema, value));
}
type FieldDropper = ReturnType<typeof fieldDropper>;

function objectDropper({ shape, catchall }: z.core.$ZodObjectDef, drop: Drop): Dropper {
  const fields = Object.entries(shape).map(
    ([key, field]) => [key, fieldDropper(field, field._zod.optin !== undefined, drop)] as const,
  );
  const takesOthers = catchall !== undefined && catchall._zod.def.type !== "never";
  if (!takesOthers) return (value) => dropFields(value, fields);
  const others = fieldDropper(catchall, true, drop);
  const known = new Map(fields);
  return (value) =>
    dropFields(
      value,
      Object.keys(value).map((key) => [key, known.get(key) ?? others]),
    );
}

function recordDropper({ keyType, valueType, ...def }: z.core.$ZodRecordDef, drop: Drop): Dropper {
  const isPartial = "partial" in def && def.partial === true;
  const mayBeAbsent = isPartial || keyType._zod.values === undefined || valueType._zod.optin !== undefined;
  const entry = fieldDropper(valueType, mayBeAbsent, drop);
  return (value) =>
    dropFields(
      value,
      Object.keys(value).map((key) => [key, entry]),
    );
}

function dropFields(value: object, fields: readonly (readonly [string, FieldDropper])[]): unknown {
  if (Array.isArray(value)) return value;
  let changed: Map<string, unknown> | undefined;
  for (const [key, field] of fields) {
    const before = (value as Fields)[key];
    const after = field(before);
    if (after !== before) changed = (changed ?? new Map()).set(key, after);
  }
  if (changed === undefined) return value;
  const left = { ...value, ...Object.fromEntries(changed) };
  return Object.fromEntries(Object.entries(left).filter(([, field]) => field !== undefined));
}

function itemsDropper(schemaOf: (i: number) => Schema | undefined, drop: Drop): Dropper {
  return (value) => {
    if (!Array.isArray(value)) return value;
    const items = value.map((item, i) => {
      const schema = schemaOf(i);
      return schema ? drop(schema, item) : item;
    });
    return items.some((item, i) => item !== value[i]) ? items : value;
  };
}

/**
 * An option is known by its literals (`kind: "circle"`), unless no option has those of the value: a kind may be absent, too. Else it is
 * the first that accepts what is left of the value. Each option reads the whole value, so it is read once: it may hold a union, too.
 */
function unionDropper({ options }: z.core.$ZodUnionDef, drop: Drop): Dropper {
  const all = options.map((option) => ({ option, literals: Object.entries(option._zod.propValues ?? {}) }));
  const lessOf = new WeakMap<object, unknown>();
  const less = (value: object): unknown => {
    const known = all.filter(({ literals }) =>
      literals.every(([key, allowed]) => allowed.has((value as Fields)[key] as string)),
    );
    const left = (known.length === 0 ? all : known).map(({ option }) => ({
      option,
      less: drop(option, value),
    }));
    if (left.length === 1) return left[0]?.less;
    if (left.every((one) => one.less === value)) return value;
    return left.find((one) => accepts(one.option, one.less))?.less ?? value;
  };
  return (value) => {
    if (!lessOf.has(value)) lessOf.set(value, less(value));
    return lessOf.get(value);
  };
}

/** What the schema accepts as it is stays so: a preprocess may have a meaning of its own for null. */
const unlessAccepted =
  (schema: Schema, dropper: Dropper): Dropper =>
  (value) => {
    const less = dropper(value);
    return less === value || accepts(schema, value) ? value : less;
  };
