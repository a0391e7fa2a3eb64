/** Finds what a request's body is, from its headers. */

export type MediaType = "json" | "ndjson" | "cloudevent" | "cloudevent-batch" | "cloudevent-binary";

/** Request headers as Node gives them, with lower-case names. */
export type Headers = Readonly<Record<string, string | string[] | undefined>>;

const MEDIA_TYPES: Record<string, MediaType> = {
  "application/json": "json",
  "application/x-ndjson": "ndjson",
  "application/cloudevents+json": "cloudevent",
  "application/cloudevents-batch+json": "cloudevent-batch",
};

/** Finds the media type of a request; undefined: it is not accepted (415). */
export function mediaTypeOf(headers: Headers): MediaType | undefined {
  const [type = "", ...parameters] = String(headers["content-type"] ?? "")
    .toLowerCase()
    .split(";")
    .map((part) => part.trim());
  const charset = parameters.find((one) => one.startsWith("charset="))?.slice("charset=".length);
  if (charset !== undefined && !/^"?utf-?8"?$/.test(charset)) return undefined;
  if (headers["ce-specversion"] !== undefined) return isJson(type) ? "cloudevent-binary" : undefined;
  return MEDIA_TYPES[type];
}

const isJson = (type: string) => type === "application/json" || /^application\/[\w.-]+\+json$/.test(type);
