/** JSON schemas as values (draft 2020-12, which OpenAPI 3.1 uses), and how two of them become one. */

export interface JsonSchema {
  readonly type?: string | readonly string[];
  readonly enum?: readonly unknown[];
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: boolean | JsonSchema;
  readonly items?: boolean | JsonSchema;
  readonly prefixItems?: readonly JsonSchema[];
  readonly anyOf?: readonly JsonSchema[];
  readonly allOf?: readonly JsonSchema[];
  readonly [keyword: string]: unknown;
}

export const NULL: JsonSchema = { type: "null" };
const NOT_NULL: JsonSchema = { not: NULL };
/** Accepts nothing. */
export const NEVER: JsonSchema = { not: {} };

/** Keywords that only explain. */
const WORDS = new Set(["title", "description", "examples", "deprecated", "default"]);

const hasNoRule = (json: JsonSchema): boolean => Object.keys(json).every((keyword) => WORDS.has(keyword));

const isNotNull = ({ not }: JsonSchema): boolean => (not as JsonSchema | undefined)?.type === "null";

/** The same, and null. */
export function withNull(json: JsonSchema): JsonSchema {
  if (hasNoRule(json)) return json;
  if (isNotNull(json)) {
    const { not: _, ...rest } = json;
    return rest;
  }
  const types = typeof json.type === "string" ? [json.type] : (json.type ?? []);
  if (types.includes("null") || json.enum?.includes(null)) return json;
  if (types.length === 0 || json.enum !== undefined || "const" in json || "allOf" in json)
    return withOption(json, NULL);
  return { ...json, type: [...types, "null"] };
}

function withOption(json: JsonSchema, option: JsonSchema): JsonSchema {
  const { description, ...rest } = json;
  const { anyOf: options = [rest], ...others } = rest;
  if (options.some(({ type }) => type === option.type)) return json;
  const said = description === undefined ? {} : { description };
  return Object.keys(others).length > 0 && rest.anyOf !== undefined
    ? { ...said, anyOf: [rest, option] }
    : { ...said, anyOf: [...options, option] };
}

/** The same without null. */
export function withoutNull(json: JsonSchema): JsonSchema {
  if (hasNoRule(json)) return { ...json, ...NOT_NULL };
  if (json.enum?.includes(null)) return { ...json, enum: json.enum.filter((value) => value !== null) };
  if (json.anyOf !== undefined)
    return { ...json, ...anyOf(json.anyOf.filter(({ type }) => type !== "null")) };
  if (typeof json.type === "string" || json.type === undefined) return json;
  const types = json.type.filter((type) => type !== "null");
  return { ...json, type: types.length === 1 ? (types[0] as string) : types };
}

/** Accepts what one of the options accepts. */
export function anyOf(options: readonly JsonSchema[]): JsonSchema {
  const [first = NEVER, ...others] = options;
  if (others.length === 0) return first;
  return options.some((one) => Object.keys(one).length === 0) ? {} : { anyOf: options };
}

/**
 * Accepts what both accept. Two objects become one, because in zod a key is unknown only if it is unknown to both; in JSON schema
 * each would refuse the other's keys.
 */
export function both(left: JsonSchema, right: JsonSchema): JsonSchema {
  if (hasNoRule(left)) return { ...left, ...right };
  if (hasNoRule(right)) return { ...right, ...left };
  if (left.anyOf && !left.properties) return { ...left, anyOf: left.anyOf.map((one) => both(one, right)) };
  if (right.anyOf && !right.properties) return { ...right, anyOf: right.anyOf.map((one) => both(left, one)) };
  return left.properties && right.properties
    ? bothObjects(left, right)
    : { allOf: [opened(left), opened(right)] };
}

function bothObjects(left: JsonSchema, right: JsonSchema): JsonSchema {
  const names = new Set([...Object.keys(left.properties ?? {}), ...Object.keys(right.properties ?? {})]);
  const properties = [...names].map((name): [string, JsonSchema] => {
    const [one, other] = [propertyOf(left, name), propertyOf(right, name)];
    return [name, one === undefined ? (other ?? {}) : other === undefined ? one : sameOrBoth(one, other)];
  });
  const required = [...new Set([...(left.required ?? []), ...(right.required ?? [])])];
  const others = bothOthers(left.additionalProperties, right.additionalProperties);
  return {
    ...left,
    ...right,
    properties: Object.fromEntries(properties),
    ...(required.length > 0 ? { required } : {}),
    ...(others === undefined ? {} : { additionalProperties: others }),
  };
}

/** How a schema wants a property; undefined: it says nothing of it, or refuses it only as unknown. */
function propertyOf({ properties, additionalProperties }: JsonSchema, name: string): JsonSchema | undefined {
  if (properties && Object.hasOwn(properties, name)) return properties[name];
  return typeof additionalProperties === "object" ? additionalProperties : undefined;
}

const sameOrBoth = (one: JsonSchema, other: JsonSchema): JsonSchema =>
  JSON.stringify(one) === JSON.stringify(other) ? one : both(one, other);

function bothOthers(
  left: JsonSchema["additionalProperties"],
  right: JsonSchema["additionalProperties"],
): JsonSchema["additionalProperties"] {
  if (left === false && right === false) return false;
  const rules = [left, right].filter((one) => typeof one === "object");
  return rules.length === 2 ? sameOrBoth(rules[0] as JsonSchema, rules[1] as JsonSchema) : rules[0];
}

/** Without its refusal of unknown keys. */
function opened(json: JsonSchema): JsonSchema {
  if (json.additionalProperties !== false) return json;
  const { additionalProperties: _, ...rest } = json;
  return rest;
}
