/** Finds what a request's body is, from its headers. */

export type MediaType = "json" | "ndjson" | "cloudevent" | "cloudevent-batch" | "cloudevent-binary";

/** Request headers as Node gives them, with lower-case names. */
export type Headers = Readonly<Record<string, string | string[] | undefined>>;

const MEDIA_TYPES = new Map<string, MediaType>([
  ["application/json", "json"],
  ["text/plain", "json"],
  ["application/x-ndjson", "ndjson"],
  ["application/ndjson", "ndjson"],
  ["application/jsonl", "ndjson"],
  ["application/cloudevents+json", "cloudevent"],
  ["application/cloudevents-batch+json", "cloudevent-batch"],
]);

const TAKEN = [...MEDIA_TYPES.keys()].join(", ");

/** A Content-Type in lower case; "" if there is none. */
export interface ContentType {
  type: string;
  charset: string | undefined;
}

export function contentTypeOf(header: string | string[] | undefined): ContentType {
  const [type = "", ...parameters] = String(header ?? "")
    .toLowerCase()
    .split(";")
    .map((part) => part.trim());
  const charset = parameters.find((one) => one.startsWith("charset="))?.slice("charset=".length);
  return { type, charset };
}

/** Whether text of this charset is UTF-8, which is also the default. ASCII is a part of it. */
export const isUtf8 = (charset: string | undefined): boolean =>
  charset === undefined || /^"?(?:utf-?8|(?:us-)?ascii)"?$/.test(charset);

/** Whether a media type is JSON (RFC 6839). A CloudEvent's data without a media type are JSON, too. */
export const isJson = (type: string): boolean => type === "" || /^[^/]+\/(?:[^/]+\+)?json$/.test(type);

/** The attributes that each CloudEvent has. A request with one of these headers is meant to be one in binary mode. */
const REQUIRED_HEADERS = ["ce-specversion", "ce-id", "ce-source", "ce-type"];

/**
 * Finds the media type of a request, or says why it is not accepted (415). A Content-Type of CloudEvents decides alone, whatever
 * `ce-*` headers come along.
 */
export function mediaTypeOf(headers: Headers): MediaType | { problem: string } {
  const given = String(headers["content-type"] ?? "");
  const { type, charset } = contentTypeOf(given);
  const isEventFormat = /^application\/cloudevents(?:[+-]|$)/.test(type);
  const isBinary = !isEventFormat && REQUIRED_HEADERS.some((name) => headers[name] !== undefined);
  if (!isUtf8(charset) && !(isBinary && !isJson(type))) return { problem: `expected UTF-8, ${got(given)}` };
  const mediaType = isBinary ? "cloudevent-binary" : MEDIA_TYPES.get(type);
  return mediaType ?? { problem: `expected Content-Type ${TAKEN}, in UTF-8; ${got(given)}` };
}

const got = (given: string) => (given === "" ? "got none" : `got ${JSON.stringify(given.slice(0, 64))}`);
