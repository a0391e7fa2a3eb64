/** The fields of the data that a schema returns, as far as the schema itself says it. */
import type { z } from "zod";

/** Each field's name, and whether all data have it. */
export type SchemaFields = ReadonlyMap<string, { isRequired: boolean }>;

/**
 * Lists the fields of a schema's output; undefined: it does not say them, because it takes any key, or a transform makes its output.
 */
export function fieldsOfSchema(schema: z.core.$ZodType): SchemaFields | undefined {
  const { def } = (schema as z.core.$ZodTypes)._zod;
  switch (def.type) {
    case "object":
      return def.catchall === undefined || def.catchall._zod.def.type === "never"
        ? fieldsOfShape(def.shape)
        : undefined;
    case "union":
      return unite(def.options.map(fieldsOfSchema), (all) => all.every((has) => has === true));
    case "intersection":
      return unite([def.left, def.right].map(fieldsOfSchema), (all) => all.some((has) => has === true));
    case "pipe":
      return fieldsOfSchema(def.out);
    case "lazy":
      return fieldsOfSchema((schema as z.core.$ZodLazy)._zod.innerType);
    default:
      return "innerType" in def ? fieldsOfSchema(def.innerType) : undefined;
  }
}

const fieldsOfShape = (shape: z.core.$ZodShape): SchemaFields =>
  new Map(
    Object.entries(shape).map(([name, field]) => [name, { isRequired: field._zod.optout === undefined }]),
  );

/** Fields of several schemas together. `isRequired` gets, for each of them, whether its data have the field; undefined: it has none such. */
function unite(
  parts: readonly (SchemaFields | undefined)[],
  isRequired: (all: readonly (boolean | undefined)[]) => boolean,
): SchemaFields | undefined {
  const known = parts.filter((part) => part !== undefined);
  if (known.length < parts.length) return undefined;
  const names = new Set(known.flatMap((part) => [...part.keys()]));
  return new Map(
    [...names].map((name) => [
      name,
      { isRequired: isRequired(known.map((part) => part.get(name)?.isRequired)) },
    ]),
  );
}
