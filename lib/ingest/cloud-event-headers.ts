/** Reads the attributes of a CloudEvent in binary mode from its `ce-*` headers (CloudEvents 1.0, HTTP binding, 3.1.3). */
import type { InputError } from "../schema/input-error.ts";
import type { Headers } from "./media-type.ts";

/** The attributes that are read. All other `ce-*` headers are extensions, which no stream uses, so they can't be at fault. */
const NAMES = ["specversion", "id", "source", "type", "subject", "time"] as const;

export type Attributes = Partial<Record<(typeof NAMES)[number], string>>;

const utf8 = new TextDecoder("utf-8", { fatal: true });

/** Returns the attributes, or the first one that is not percent-encoded UTF-8. */
export function attributesOf(headers: Headers): { attributes: Attributes } | { error: InputError } {
  const attributes: Attributes = {};
  for (const name of NAMES) {
    const header = headers[`ce-${name}`];
    if (header === undefined) continue;
    const value = decodeHeader(String(header));
    if (value === undefined)
      return { error: { path: name, message: `expected percent-encoded UTF-8 in the header ce-${name}` } };
    attributes[name] = value;
  }
  return { attributes };
}

/** Unquotes, then decodes percent escapes, once. A `%` that escapes nothing stays. Undefined: escapes of bytes that are not UTF-8. */
function decodeHeader(value: string): string | undefined {
  try {
    return unquote(textOfBytes(value)).replace(/(?:%[0-9a-f]{2})+/gi, decodeURIComponent);
  } catch {
    return undefined;
  }
}

/** Node reads a header's bytes as Latin-1. Many senders write UTF-8, so bytes that are UTF-8 are read as that. */
function textOfBytes(value: string): string {
  if (!/[\x80-\xff]/.test(value)) return value;
  try {
    return utf8.decode(Buffer.from(value, "latin1"));
  } catch {
    return value;
  }
}

/** Reads a value that is one quoted string, as earlier versions of the binding had them (RFC 7230, 3.2.6). */
const unquote = (value: string): string =>
  /^"(?:[^"\\]|\\.)*"$/.test(value) ? value.slice(1, -1).replace(/\\(.)/g, "$1") : value;
