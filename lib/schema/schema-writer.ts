/**
 * Writes zod schemas as JSON schemas, part by part: what a part takes as input. A part that JSON schema can't describe takes anything, with
 * words. `z.toJSONSchema` writes the values (json-schema-leaf.ts), but not what is made of them: it knows nothing of null as absence, of
 * columns, and of the event's id.
 */
import type { PgColumn } from "drizzle-orm/pg-core";
import { z } from "zod";
import { isTaken, outcomeOf } from "./field-outcome.ts";
import { narrowToColumn } from "./json-schema-columns.ts";
import { anyOf, both, type JsonSchema, NEVER, withNull, withoutNull } from "./json-schema-forms.ts";
import { leafOf } from "./json-schema-leaf.ts";
import { isCodec, isUnchanged } from "./schema-changes.ts";
import { ID } from "./stream-key.ts";

type Schema = z.core.$ZodType;
export type Columns = ReadonlyMap<string, PgColumn>;

/** What all schemas of a stream share. */
export interface WriterOptions {
  parts: Map<string, JsonSchema>;
  /** Schemas that stand within themselves, by the names of their parts. */
  names: Map<Schema, string>;
  refBase: string;
  name: string;
  columns: Columns;
  id: JsonSchema | undefined;
}

/** Where a schema stands. */
interface At {
  /** The schemas around it. */
  within: readonly Schema[];
  /** Only at the level of the event itself: the columns of its fields. Empty: its fields are changed before they are stored. */
  columns?: Columns | undefined;
}

/** Levels of schemas, and schemas in one event, from which on nothing is said. A schema may make itself anew at each level. */
const DEPTH_MAX = 64;
const COUNT_MAX = 5000;

/** Writes the schemas of one event. */
export class SchemaWriter {
  readonly #options: WriterOptions;
  #count = 0;

  constructor(options: WriterOptions) {
    this.#options = options;
  }

  /** Writes an event. What is no object is never one. */
  event(schema: Schema): JsonSchema {
    const json = this.#write(schema, { within: [], columns: this.#options.columns });
    const isOpen = json.type === undefined && json.anyOf === undefined && json.allOf === undefined;
    return isOpen ? { ...json, type: "object", properties: this.#idAlone() } : json;
  }

  #idAlone = (): Record<string, JsonSchema> =>
    this.#options.id === undefined ? {} : { [ID]: this.#options.id };

  #write(schema: Schema, at: At): JsonSchema {
    if (at.within.includes(schema)) return at.columns ? NEVER : this.#refTo(schema);
    if (at.within.length > DEPTH_MAX || ++this.#count > COUNT_MAX) return {};
    const columns = at.columns && !isUnchanged(schema, true) ? new Map() : at.columns;
    const written = this.#parts(schema as z.core.$ZodTypes, { columns, within: [...at.within, schema] });
    const { id: _, ...meta } = z.globalRegistry.get(schema) ?? {};
    const json = { ...written, ...meta };
    const name = at.columns ? undefined : this.#options.names.get(schema);
    if (name === undefined) return json;
    this.#options.parts.set(name, json);
    return this.#refTo(schema);
  }

  #refTo(schema: Schema): JsonSchema {
    const { name, refBase, names } = this.#options;
    const part = names.get(schema) ?? `${name}.${names.size + 1}`;
    names.set(schema, part);
    return { $ref: `${refBase}${part}` };
  }

  /** Writes types that are values, or that wrap another. */
  #parts(schema: z.core.$ZodTypes, at: At): JsonSchema {
    const { def } = schema._zod;
    if ("coerce" in def && def.coerce) return { description: "It is converted before it is checked." };
    switch (def.type) {
      case "string":
      case "number":
      case "boolean":
      case "null":
      case "enum":
      case "literal":
      case "template_literal":
        return leafOf(schema);
      case "any":
      case "unknown":
      case "custom":
        return outcomeOf(schema, null).isRefused ? withoutNull({}) : {};
      case "never":
        return NEVER;
      case "optional":
      case "nonoptional":
      case "default":
      case "prefault":
      case "readonly":
        return this.#write(def.innerType, at);
      case "nullable":
        return withNull(this.#write(def.innerType, at));
      default:
        return this.#compound(schema, at);
    }
  }

  /** Writes types that are made of others. */
  #compound(schema: z.core.$ZodTypes, at: At): JsonSchema {
    const { def } = schema._zod;
    switch (def.type) {
      case "object":
        return this.#object(def, at);
      case "record":
        return this.#record(def, at);
      case "array":
        return { ...leafOf(schema, { element: z.any() }), items: this.#write(def.element, inside(at)) };
      case "tuple":
        return this.#tuple(def, at);
      case "union":
        return anyOf(def.options.filter((one) => !isUndefined(one)).map((one) => this.#write(one, at)));
      case "intersection":
        return both(this.#write(def.left, at), this.#write(def.right, at));
      case "pipe":
        return this.#pipe(def, at);
      case "lazy":
        return this.#write((schema as z.core.$ZodLazy)._zod.innerType, at);
      case "catch":
        return { description: "Any value: what does not fit is replaced." };
      default:
        return { description: `JSON schema does not describe it (zod's type ${def.type}).` };
    }
  }

  #object({ shape, catchall }: z.core.$ZodObjectDef, at: At): JsonSchema {
    const fields = Object.entries(shape).filter(([key]) => !(at.columns && key === ID));
    const written = fields.map(([key, field]) => ({
      key,
      ...this.#field(field, z.strictObject({ [key]: field }), key, at),
    }));
    const required = written.filter(({ mayBeAbsent }) => !mayBeAbsent).map(({ key }) => key);
    return {
      type: "object",
      properties: {
        ...(at.columns ? this.#idAlone() : {}),
        ...Object.fromEntries(written.map(({ key, json }) => [key, json])),
      },
      ...(required.length > 0 ? { required } : {}),
      ...(catchall === undefined ? {} : { additionalProperties: this.#others(catchall, at) }),
    };
  }

  /** Keys that the schema does not name. Null is absence there, too. */
  #others(catchall: Schema, at: At): boolean | JsonSchema {
    if (catchall._zod.def.type === "never") return false;
    return withNull(this.#write(catchall, inside(at)));
  }

  /** Writes a field, and tries on `owner`, which has this field alone, whether it may be absent or null. */
  #field(field: Schema, owner: Schema, key: string, at: At): { json: JsonSchema; mayBeAbsent: boolean } {
    const column = at.columns?.get(key);
    const written = this.#write(field, inside(at));
    const narrowed = column && isUnchanged(field) ? narrowToColumn(written, column) : written;
    const mayBeNull = isTaken(outcomeOf(owner, { [key]: null }), key, column);
    return {
      json: mayBeNull ? withNull(narrowed) : withoutNull(narrowed),
      mayBeAbsent: isTaken(outcomeOf(owner, {}), key, column),
    };
  }

  #record(def: z.core.$ZodRecordDef, at: At): JsonSchema {
    const isPartial = "partial" in def && def.partial === true;
    const isLoose = "mode" in def && def.mode === "loose";
    const names = [...(def.keyType._zod.values ?? [])].map(String);
    const id = at.columns ? this.#idAlone() : {};
    if (names.length === 0 || isLoose) {
      const others = isLoose
        ? {}
        : { additionalProperties: withNull(this.#write(def.valueType, inside(at))) };
      return { type: "object", properties: id, ...(isLoose ? {} : this.#namesOf(def, at)), ...others };
    }
    const owner = (key: string) => z.record(z.literal(key), def.valueType as z.ZodType);
    const written = names.map((key) => ({ key, ...this.#field(def.valueType, owner(key), key, at) }));
    const required = isPartial ? [] : written.filter(({ mayBeAbsent }) => !mayBeAbsent).map(({ key }) => key);
    const values = written.map(({ key, json }) => [key, isPartial ? withNull(json) : json]);
    return {
      type: "object",
      properties: { ...Object.fromEntries(values), ...id },
      ...(required.length > 0 ? { required } : {}),
      additionalProperties: false,
    };
  }

  #namesOf({ keyType }: z.core.$ZodRecordDef, at: At): JsonSchema {
    if (keyType._zod.def.type !== "string") return {};
    const { type: _, ...names } = this.#write(keyType, inside(at));
    if (Object.keys(names).length === 0) return {};
    return { propertyNames: at.columns && this.#options.id ? { anyOf: [{ const: ID }, names] } : names };
  }

  #tuple({ items, rest }: z.core.$ZodTupleDef, at: At): JsonSchema {
    const needed = items.findLastIndex(({ _zod }) => _zod.optin === undefined) + 1;
    return {
      type: "array",
      prefixItems: items.map((item) => this.#write(item, inside(at))),
      items: rest === null ? false : this.#write(rest, inside(at)),
      minItems: needed,
      ...(rest === null ? { maxItems: items.length } : {}),
    };
  }

  #pipe(def: z.core.$ZodPipeDef, at: At): JsonSchema {
    const { in: first, out } = def;
    const isChangedFirst = first._zod.def.type === "transform";
    if (isChangedFirst) return { description: "It is changed before it is checked." };
    const written = this.#write(first, at);
    const isCheckedAgain = isUnchanged(first) && !isCodec(def) && out._zod.def.type !== "transform";
    return isCheckedAgain ? both(written, this.#write(out, at)) : written;
  }
}

/** Inside of the event: its parts have no columns. */
const inside = ({ within, columns }: At): At => ({ within: columns ? [] : within });

const isUndefined = ({ _zod }: Schema): boolean => ["undefined", "void"].includes(_zod.def.type);
