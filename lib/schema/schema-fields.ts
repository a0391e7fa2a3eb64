/**
 * Reads from a schema which fields its output has. Nobody can tell what a transform returns, or a check that overwrites its value: such
 * a part is unknown here, and each event is checked instead.
 */
import type { z } from "zod";
import { type Presence, presenceOf } from "./schema-presence.ts";

type Schema = z.core.$ZodType;

export interface SchemaFields {
  /** The fields that are known, each with its presence. */
  fields: ReadonlyMap<string, Presence>;
  /** Whether it takes other fields on purpose: a record, a loose object, a catchall. */
  isOpen: boolean;
  /** Whether an output may have other fields, of which the schema does not tell. */
  isUnknown: boolean;
}

const UNKNOWN: SchemaFields = { fields: new Map(), isOpen: false, isUnknown: true };

/** Reads the fields of a schema's output. */
export const fieldsOfSchema = (schema: Schema): SchemaFields => read(schema, []);

/** `within`: the schemas around this one; a schema that stands within itself says nothing more. */
function read(part: Schema, within: readonly Schema[]): SchemaFields {
  if (within.includes(part)) return UNKNOWN;
  const schema = part as z.core.$ZodTypes;
  const inside = (inner: Schema) => read(inner, [...within, part]);
  const { def } = schema._zod;
  if (isOverwritten(def)) return UNKNOWN;
  switch (def.type) {
    case "object":
      return fieldsOfObject(def);
    case "record":
      return fieldsOfRecord(def);
    case "union":
      return fieldsOfUnion(def.options.filter(mayBeObject).map(inside));
    case "intersection":
      return fieldsOfBoth(inside(def.left), inside(def.right));
    case "pipe":
      return inside(def.out);
    case "lazy":
      return inside((schema as z.core.$ZodLazy)._zod.innerType);
    default:
      return "innerType" in def && def.type !== "success" && def.type !== "promise"
        ? inside(def.innerType)
        : UNKNOWN;
  }
}

/** Whether a check may return another value than it got, as `.overwrite()` and `.trim()` do. */
const isOverwritten = ({ checks }: z.core.$ZodTypeDef): boolean =>
  (checks ?? []).some(({ _zod }) => _zod.def.check === "overwrite");

/** Types whose values have no fields. An event is an object, so such an option of a union is never the one. */
const SCALARS = new Set([
  "string",
  "number",
  "boolean",
  "bigint",
  "null",
  "undefined",
  "enum",
  "literal",
  "array",
]);
const mayBeObject = (schema: Schema): boolean => !SCALARS.has((schema as z.core.$ZodTypes)._zod.def.type);

const isNever = (schema: Schema | undefined): boolean =>
  schema === undefined || (schema as z.core.$ZodTypes)._zod.def.type === "never";

function fieldsOfObject({ shape, catchall }: z.core.$ZodObjectDef): SchemaFields {
  const fields = Object.entries(shape).map(([name, field]) => [name, presenceOf(field)] as const);
  return { fields: new Map(fields), isOpen: !isNever(catchall), isUnknown: false };
}

function fieldsOfRecord({ keyType, valueType, ...def }: z.core.$ZodRecordDef): SchemaFields {
  const names = [...(keyType._zod.values ?? [])].map(String);
  const isPartial = "partial" in def && def.partial === true;
  const presence = isPartial ? "maybe" : presenceOf(valueType);
  return {
    fields: new Map(names.map((name) => [name, presence])),
    isOpen: keyType._zod.values === undefined || def.mode === "loose",
    isUnknown: false,
  };
}

const namesOf = (parts: readonly SchemaFields[]) =>
  new Set(parts.flatMap(({ fields }) => [...fields.keys()]));

/** The output is one of the options': a field is always there only if each of them has it. */
function fieldsOfUnion(options: readonly SchemaFields[]): SchemaFields {
  const presence = (name: string): Presence => worst(options.map((option) => presenceIn(option, name)));
  return {
    fields: new Map([...namesOf(options)].map((name) => [name, presence(name)])),
    isOpen: options.some(({ isOpen }) => isOpen),
    isUnknown: options.length === 0 || options.some(({ isUnknown }) => isUnknown),
  };
}

/** The output is both: a field is always there if one of them has it. */
function fieldsOfBoth(left: SchemaFields, right: SchemaFields): SchemaFields {
  const parts = [left, right];
  const presence = (name: string): Presence => best(parts.map((part) => presenceIn(part, name)));
  return {
    fields: new Map([...namesOf(parts)].map((name) => [name, presence(name)])),
    isOpen: left.isOpen || right.isOpen,
    isUnknown: left.isUnknown || right.isUnknown,
  };
}

const worst = (all: readonly Presence[]): Presence =>
  all.includes("maybe") ? "maybe" : all.includes("unknown") ? "unknown" : "always";

const best = (all: readonly Presence[]): Presence =>
  all.includes("always") ? "always" : all.includes("unknown") ? "unknown" : "maybe";

/** Says whether an output of such a schema always has a value for a field. */
export const presenceIn = ({ fields, isUnknown }: SchemaFields, field: string): Presence =>
  fields.get(field) ?? (isUnknown ? "unknown" : "maybe");
