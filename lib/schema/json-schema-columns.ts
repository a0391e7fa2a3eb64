/**
 * Narrows the JSON schema of a field by what its column holds, as column-limits.ts does with values: only where the field's value is
 * stored as it came. Not said, because no keyword can: calendar days and the range of times (they are in words), and texts with an
 * exponent in a numeric column.
 */
import { is } from "drizzle-orm";
import { PgArray, type PgColumn } from "drizzle-orm/pg-core";
import { WHOLE_NUMBERS } from "./column-limits.ts";
import type { JsonSchema } from "./json-schema-forms.ts";
import { valueTypeOf } from "./written-columns.ts";

/** What a column demands of a value, by the value's type. */
interface Limit {
  number?: JsonSchema;
  isWhole?: boolean;
  text?: JsonSchema;
  values?: readonly string[];
  items?: Limit;
  description?: string;
}

/** Narrows a field's schema. Null is judged elsewhere: it is not what a column holds. */
export function narrowToColumn(json: JsonSchema, column: PgColumn): JsonSchema {
  const limit = limitOf(column);
  return limit === undefined ? json : narrow(json, limit);
}

function limitOf(column: PgColumn): Limit | undefined {
  if (is(column, PgArray)) {
    const items = limitOf(column.baseColumn);
    return items && { items };
  }
  const type = valueTypeOf(column);
  if (type === "smallint" || type === "integer" || type === "bigint") {
    const [minimum, maximum] = WHOLE_NUMBERS[type];
    return { isWhole: true, number: { minimum, maximum } };
  }
  if (type === "real") return { number: NOT_TINY };
  if (column.enumValues !== undefined && column.enumValues.length > 0) return { values: column.enumValues };
  return limitOfText(type);
}

function limitOfText(type: string): Limit | undefined {
  const length = /^(?:var)?char\((\d+)\)$/.exec(type)?.[1];
  if (length !== undefined) return { text: { maxLength: Number(length) } };
  const numeric = /^numeric\((\d+)(?:, ?(-?\d+))?\)$/.exec(type);
  if (numeric) return decimal(Number(numeric[1]), Number(numeric[2] ?? 0));
  return type.startsWith("timestamp") || type === "date" ? { description: RANGE } : undefined;
}

const RANGE = "From year 1 to 9999, in UTC.";

/** The largest number that a 4-byte float rounds to 0. */
const TINY = 2 ** -150;
const NOT_TINY: JsonSchema = {
  not: { type: "number", minimum: -TINY, maximum: TINY, not: { const: 0 } },
};

/** Digits that a double keeps: a bound with more of them is not exact, so it is let in. */
const EXACT_DIGITS = 15;

/** A `numeric(precision, scale)`: what rounds to one digit more is refused. */
function decimal(precision: number, scale: number): Limit {
  const beyond = Number(`${"9".repeat(precision)}5e${-scale - 1}`);
  const bounds =
    precision < EXACT_DIGITS
      ? { exclusiveMinimum: -beyond, exclusiveMaximum: beyond }
      : { minimum: -beyond, maximum: beyond };
  const whole = precision - scale;
  const description = `At most ${precision} digits, ${scale} of them after the point.`;
  if (scale < 0 || whole < 0) return { number: bounds, description };
  const tooMuch = `[1-9]\\d{${whole}}\\d*(?:\\.\\d*)?|9{${whole}}\\.9{${scale}}[5-9]\\d*`;
  return {
    number: bounds,
    text: { not: { type: "string", pattern: `^\\s*[+-]?0*(?:${tooMuch})\\s*$` } },
    description,
  };
}

const has = ({ type }: JsonSchema, ...types: string[]): boolean =>
  type === undefined || types.some((one) => type === one || type.includes(one));

function narrow(json: JsonSchema, limit: Limit): JsonSchema {
  if (json.anyOf !== undefined) return { ...json, anyOf: json.anyOf.map((one) => narrow(one, limit)) };
  if (json.enum !== undefined || "const" in json) return json;
  const { number, text, values, items, isWhole, description } = limit;
  const narrowed = { ...json };
  if (items !== undefined) return narrowItems(json, items);
  if (values !== undefined) Object.assign(narrowed, { enum: values });
  if (number !== undefined && has(json, "number", "integer")) Object.assign(narrowed, within(json, number));
  if (isWhole) Object.assign(narrowed, wholeOf(json));
  if (text !== undefined && has(json, "string")) Object.assign(narrowed, shorter(json, text));
  if (description !== undefined && has(json, "string", "number"))
    narrowed.description = [json.description, description].filter((one) => one !== undefined).join(" ");
  return narrowed;
}

function narrowItems(json: JsonSchema, limit: Limit): JsonSchema {
  const { items, prefixItems } = json;
  if (!has(json, "array")) return json;
  return {
    ...json,
    ...(prefixItems && { prefixItems: prefixItems.map((one) => narrow(one, limit)) }),
    ...(typeof items === "object" ? { items: narrow(items, limit) } : {}),
  };
}

/** Only integers; where any value is let in, only those numbers. */
const wholeOf = ({ type }: JsonSchema): JsonSchema => {
  if (type === undefined) return { multipleOf: 1 };
  if (typeof type === "string") return { type: type === "number" ? "integer" : type };
  return { type: type.map((one) => (one === "number" ? "integer" : one)) };
};

/** The tighter of each bound. */
function within(json: JsonSchema, { minimum, maximum, exclusiveMinimum, exclusiveMaximum, not }: JsonSchema) {
  const least = (bound: unknown, given: unknown) => Math.max(Number(bound), Number(given ?? bound));
  const most = (bound: unknown, given: unknown) => Math.min(Number(bound), Number(given ?? bound));
  return {
    ...(minimum === undefined ? {} : { minimum: least(minimum, json.minimum) }),
    ...(maximum === undefined ? {} : { maximum: most(maximum, json.maximum) }),
    ...(exclusiveMinimum === undefined
      ? {}
      : { exclusiveMinimum: least(exclusiveMinimum, json.exclusiveMinimum) }),
    ...(exclusiveMaximum === undefined
      ? {}
      : { exclusiveMaximum: most(exclusiveMaximum, json.exclusiveMaximum) }),
    ...(not === undefined ? {} : { not }),
  };
}

const shorter = (json: JsonSchema, { maxLength, not }: JsonSchema): JsonSchema => ({
  ...(maxLength === undefined
    ? {}
    : { maxLength: Math.min(Number(maxLength), Number(json.maxLength ?? maxLength)) }),
  ...(not === undefined ? {} : { not }),
});
