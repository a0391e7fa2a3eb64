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

/** Finds the media type of a request, or says why it is not accepted (415). */
export function mediaTypeOf(headers: Headers): MediaType | { problem: string } {
  const given = String(headers["content-type"] ?? "");
  const [type = "", ...parameters] = given
    .toLowerCase()
    .split(";")
    .map((part) => part.trim());
  const charset = parameters.find((one) => one.startsWith("charset="))?.slice("charset=".length);
  if (charset !== undefined && !/^"?utf-?8"?$/.test(charset))
    return { problem: `expected UTF-8, ${got(given)}` };
  const isBinary = headers["ce-specversion"] !== undefined && isJson(type);
  const mediaType = isBinary ? "cloudevent-binary" : MEDIA_TYPES.get(type);
  return mediaType ?? { problem: `expected Content-Type ${TAKEN}, in UTF-8; ${got(given)}` };
}

const got = (given: string) => (given === "" ? "got none" : `got ${JSON.stringify(given.slice(0, 64))}`);

const isJson = (type: string) => type === "application/json" || /^application\/[\w.-]+\+json$/.test(type);
