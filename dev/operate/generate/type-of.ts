/**
 * Writes JSON schemas as TypeScript types. A type is never narrower than its schema, with one exception on purpose: an object that names its
 * fields has no others, so that a mistyped name does not compile. Lengths, bounds and formats are left out, because no type can say them.
 */
import type { JsonSchema } from "../../../lib/schema/json-schema-forms.ts";

/** The name of the type for a reference, such as `#/components/schemas/events.1`. */
export const nameOfPart = (ref: string): string => ref.replace(/^.*\//, "").replaceAll(/\W/g, "_");

/** Writes a type. `indent` stands before its lines, save the first. */
export function typeOf(json: JsonSchema, indent = ""): string {
  const types = [ownType(json, indent)];
  if (json.anyOf) types.push(union(json.anyOf.map((one) => typeOf(one, indent))));
  for (const one of json.allOf ?? []) types.push(typeOf(one, indent));
  const said = [...new Set(types)].filter((type) => type !== "unknown");
  if (said.length < 2) return said[0] ?? "unknown";
  return said.map((type) => (type.includes(" | ") ? `(${type})` : type)).join(" & ");
}

function ownType(json: JsonSchema, indent: string): string {
  const { type, not, $ref } = json;
  if (typeof $ref === "string") return nameOfPart($ref);
  if ("const" in json) return literal(json.const);
  if (json.enum) return union(json.enum.map(literal));
  if (type !== undefined) return union([type].flat().map((one) => typeOfKind(one, json, indent)));
  if (json.properties) return objectOf(json, indent);
  if (not === undefined) return "unknown";
  return (not as JsonSchema).type === "null" ? "NonNullable<unknown>" : "never";
}

function typeOfKind(kind: string, json: JsonSchema, indent: string): string {
  if (kind === "object") return objectOf(json, indent);
  if (kind === "array") return arrayOf(json, indent);
  return kind === "integer" ? "number" : kind; // string, number, boolean and null have the same names in both
}

const literal = (value: unknown): string =>
  value === null || typeof value !== "object" ? JSON.stringify(value) : "unknown";

function union(types: readonly string[]): string {
  if (types.includes("unknown")) return "unknown";
  const isNew = (type: string) => !(type.startsWith('"') && types.includes("string")); // a literal adds nothing to string
  return [...new Set(types)].filter(isNew).join(" | ") || "never";
}

/** Writes an object's type, one line a field, each below its description. */
function objectOf(json: JsonSchema, indent: string): string {
  const inner = `${indent}  `;
  const fields = Object.entries(json.properties ?? {}).map(([name, field]) => ({
    name,
    about: aboutOf(field, inner),
    isOptional: !json.required?.includes(name),
    type: typeOf(field, inner),
  }));
  const lines = fields.map(
    ({ name, about, isOptional, type }) =>
      `${about}${inner}${keyOf(name)}${isOptional ? "?" : ""}: ${type}${isOptional ? " | undefined" : ""};\n`,
  );
  const others = typeOfOthers(json, inner);
  if (others !== undefined) {
    // An index signature holds for the named fields, too.
    const types = fields.flatMap(({ type, isOptional }) => (isOptional ? [type, "undefined"] : [type]));
    lines.push(`${inner}[name: string]: ${union([others, ...types])};\n`);
  }
  return lines.length === 0 ? "Record<string, never>" : `{\n${lines.join("")}${indent}}`;
}

/** The type of the fields that have no name; undefined: there are none. */
function typeOfOthers({ properties, additionalProperties }: JsonSchema, indent: string): string | undefined {
  if (typeof additionalProperties === "object") return typeOf(additionalProperties, indent);
  const isNamed = Object.keys(properties ?? {}).some((name) => name !== "id");
  return additionalProperties === true || (additionalProperties === undefined && !isNamed)
    ? "unknown"
    : undefined;
}

function arrayOf({ prefixItems, items, minItems = 0 }: JsonSchema, indent: string): string {
  const rest =
    items === false ? undefined : items === undefined || items === true ? "unknown" : typeOf(items, indent);
  if (!prefixItems) return rest === undefined ? "[]" : `${inParentheses(rest)}[]`;
  const places = prefixItems.map(
    (one, place) => `${inParentheses(typeOf(one, indent))}${place >= (minItems as number) ? "?" : ""}`,
  );
  return `[${[...places, ...(rest === undefined ? [] : [`...${inParentheses(rest)}[]`])].join(", ")}]`;
}

const inParentheses = (type: string): string => (/ [|&] /.test(type) ? `(${type})` : type);

const keyOf = (name: string): string => (/^[A-Za-z_$][\w$]*$/.test(name) ? name : JSON.stringify(name));

function aboutOf({ description, deprecated }: JsonSchema, indent: string): string {
  const words = [description, deprecated === true ? "@deprecated" : undefined]
    .filter((one) => typeof one === "string")
    .join("\n")
    .replaceAll("*/", "*\\/");
  if (words === "") return "";
  const lines = words.split(/\r\n|[\n\r\u2028\u2029]/);
  if (lines.length === 1) return `${indent}/** ${words} */\n`;
  return `${indent}/**\n${lines.map((line) => `${indent} * ${line}\n`).join("")}${indent} */\n`;
}
