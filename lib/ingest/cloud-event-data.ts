/**
 * Reads the data of a CloudEvent from bytes: the body of binary mode, or `data_base64`. The media type decides, so that an event
 * is the same in each mode:
 *
 *     JSON (…/json, …+json)                      parsed
 *     text (text/…, XML, a form) that is UTF-8   a string
 *     anything else                              {"data_base64": "…", "datacontenttype": "…"}
 */

import { mayHoldUnsafeText, NESTING_MAX } from "../schema/unsafe-json.ts";
import { contentTypeOf, isJson, isUtf8 } from "./media-type.ts";
import { lookAt } from "./split-events.ts";

export interface ReadData {
  value: unknown;
  /** Whether the text may hold an unsafe value, so that `findUnsafeValue` must look. */
  needsDeepCheck: boolean;
  /** Whether they are neither JSON nor text, so that `value` holds them in base64. */
  isBytes?: boolean;
}

/** Data, or why they are refused: they are not what their media type promises, or they are nested too deep. */
export type Data = ReadData | { refusal: string; isTooDeep?: boolean };

/** Holds bytes under the names that CloudEvents' JSON format gives them. */
export const bytesAsText = (bytes: Uint8Array, datacontenttype: string | undefined): ReadData => ({
  value: {
    data_base64: Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("base64"),
    ...(datacontenttype === undefined ? {} : { datacontenttype }),
  },
  needsDeepCheck: true, // a header can spell any character
  isBytes: true,
});

const json = new TextDecoder("utf-8", { fatal: true });
/** A text keeps its byte order mark. */
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Reads bytes of a media type. `contentType` may have parameters. */
export function dataOfBytes(bytes: Uint8Array, contentType: string | undefined): Data {
  const { type, charset } = contentTypeOf(contentType);
  if (isJson(type)) return dataOfJson(bytes);
  const text = isText(type) && isUtf8(charset) ? decode(utf8, bytes) : undefined;
  return text === undefined ? bytesAsText(bytes, contentType) : { value: text, needsDeepCheck: true };
}

const isText = (type: string): boolean =>
  /^text\/|[/+]xml$/.test(type) || type === "application/x-www-form-urlencoded";

function decode(decoder: { decode(bytes: Uint8Array): string }, bytes: Uint8Array): string | undefined {
  try {
    return decoder.decode(bytes);
  } catch {
    return undefined;
  }
}

/** Parses JSON. No bytes are no data. */
function dataOfJson(bytes: Uint8Array): Data {
  if (bytes.length === 0) return { value: undefined, needsDeepCheck: false };
  const text = decode(json, bytes);
  if (text === undefined) return { refusal: "expected UTF-8 text" };
  const { depth, hasRiskyNumber } = lookAt(bytes);
  if (depth > NESTING_MAX) return { refusal: `nested deeper than ${NESTING_MAX} levels`, isTooDeep: true };
  try {
    return { value: JSON.parse(text), needsDeepCheck: hasRiskyNumber || mayHoldUnsafeText(text) };
  } catch {
    return isBareText(text) ? { value: text, needsDeepCheck: true } : { refusal: "expected JSON" };
  }
}

/** The official JavaScript SDK writes data that are a string without quotation marks, under application/json. */
const isBareText = (text: string): boolean => !/^\s*(?:[[{"]|$)/.test(text);
