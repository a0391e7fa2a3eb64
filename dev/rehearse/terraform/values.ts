/**
 * Terraform's values. On the wire a value of any type comes with its type, as JSON; plain values are what the APIs take. A value keeps its
 * type if it did not change, because a list and a tuple of the same texts are a difference for Terraform.
 */
import { decode, Encoder, ExtData, ExtensionCodec } from "@msgpack/msgpack";

const extensionCodec = new ExtensionCodec();
const encoder = new Encoder({ extensionCodec });
/** A value that is known only after apply. */
export const UNKNOWN = new ExtData(0, new Uint8Array([0]));

type Type = "string" | "number" | "bool" | "dynamic" | [kind: string, of: unknown];
/** A resource: attributes and blocks by name, each with its type on the wire, or a bare text where only the provider sets it. */
export type State = Record<string, unknown>;

export const fromWire = (bytes: Uint8Array): State | null =>
  decode(bytes, { extensionCodec }) as State | null;
export const toWire = (state: State | null): Uint8Array => encoder.encode(state).slice();

const typed = (value: unknown): value is [Uint8Array, unknown] =>
  Array.isArray(value) && value.length === 2 && value[0] instanceof Uint8Array;

/** The value without its type; undefined: it is null or not known. */
export function plainOf(value: unknown): unknown {
  if (typed(value)) return unwrap(typeOf(value), value[1]);
  return value === null || value instanceof ExtData ? undefined : value;
}

const typeOf = ([bytes]: [Uint8Array, unknown]): Type => JSON.parse(Buffer.from(bytes).toString()) as Type;

/** Takes off the types within. */
function unwrap(type: Type, value: unknown): unknown {
  if (value === null || value === undefined) return undefined;
  if (type === "dynamic") return plainOf(value);
  if (!Array.isArray(type)) return value;
  const [kind, of] = type;
  if (kind === "list" || kind === "set") return (value as unknown[]).map((one) => unwrap(of as Type, one));
  if (kind === "tuple") return (value as unknown[]).map((one, i) => unwrap((of as Type[])[i] as Type, one));
  const typeOfField = (name: string) =>
    kind === "map" ? (of as Type) : ((of as Record<string, Type>)[name] as Type);
  return Object.fromEntries(
    Object.entries(value as object).map(([name, one]) => [name, unwrap(typeOfField(name), one)]),
  );
}

/** Gives a plain value the types that Terraform would infer. */
export function withType(value: unknown): unknown {
  if (value === undefined || value === null) return null;
  const [type, inner] = infer(value);
  return [Buffer.from(JSON.stringify(type)), inner];
}

function infer(value: unknown): [Type, unknown] {
  if (value === undefined || value === null) return ["dynamic", null];
  if (typeof value === "string" || typeof value === "number") return [typeof value as Type, value];
  if (typeof value === "boolean") return ["bool", value];
  if (Array.isArray(value)) {
    const all = value.map(infer);
    return [["tuple", all.map(([type]) => type)], all.map(([, one]) => one)];
  }
  const all = Object.entries(value as object).map(([name, one]) => [name, infer(one)] as const);
  const types = Object.fromEntries(all.map(([name, [type]]) => [name, type]));
  return [["object", types], Object.fromEntries(all.map(([name, [, one]]) => [name, one]))];
}
