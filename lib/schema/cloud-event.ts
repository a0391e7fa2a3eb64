/**
 * A CloudEvent as a stream sees it, and where a stream takes its fields from. An error on an event must name the field that its
 * sender wrote: if a stream makes `payload` of the CloudEvent's data, an error in `payload.x` is one in `data.x`.
 */

/** The attributes of a CloudEvent that a stream may use. Extensions are not among them. */
export interface CloudEvent {
  id: string;
  source: string;
  type: string;
  subject?: string | undefined;
  time?: string | undefined;
  /** The media type of the data, as its sender wrote it. */
  datacontenttype?: string | undefined;
  /** JSON, parsed; a text; an object `{"data_base64": …, "datacontenttype": …}` for other bytes; or undefined: none came. */
  data: unknown;
}

/** Finds the sender's path for a path in the event that a stream made of a CloudEvent. */
export type PathInCloudEvent = (path: string) => string;

/** Attributes that no sender writes. Each is of its own form, so that a stream can parse it. */
const STAND_INS = {
  id: "spillway-stand-in-id",
  source: "https://stand-in.spillway.invalid/source",
  type: "spillway.stand-in.type",
  subject: "spillway-stand-in-subject",
  time: "2001-02-03T04:05:06.789Z",
  datacontenttype: "application/vnd.spillway.stand-in+json",
};
const ATTRIBUTE_BY_STAND_IN = new Map(Object.entries(STAND_INS).map(([name, value]) => [value, name]));

/** The key under which a stand-in for data holds its path. A copy by spreading has it, too. */
const PATH = Symbol("path");
/** Levels of data, and of the event that is made of them, that are followed. */
const LEVELS_MAX = 8;

/**
 * Makes the function that finds a sender's path. It calls `fromCloudEvent` once, with values that stand for the attributes and
 * for the data, and looks where they come out. If `fromCloudEvent` throws, or a field is computed, paths there stay as they are.
 */
export function pathsInCloudEvent(fromCloudEvent: (event: CloudEvent) => unknown): PathInCloudEvent {
  const sources = new Map<string, string>();
  try {
    findSources(fromCloudEvent({ ...STAND_INS, data: standInForData("data") }), [], sources);
  } catch {
    sources.clear();
  }
  return (path) => {
    const keys = path === "" ? [] : path.split(".");
    for (let count = keys.length; count >= 0; count--) {
      const source = sources.get(keys.slice(0, count).join("."));
      if (source !== undefined) return [source, ...keys.slice(count)].join(".");
    }
    return path;
  };
}

/** Stands for the data at a path. Each of its fields is a stand-in, too; it has no symbols, so it can't be iterated. */
function standInForData(path: string, level = 0): object {
  return new Proxy(
    { [PATH]: path },
    {
      get: (_, key) => {
        if (key === PATH) return path;
        return typeof key === "symbol" || level === LEVELS_MAX
          ? undefined
          : standInForData(`${path}.${key}`, level + 1);
      },
    },
  );
}

/** Notes where each stand-in came out. */
function findSources(value: unknown, path: readonly string[], sources: Map<string, string>): void {
  const source =
    typeof value === "string"
      ? ATTRIBUTE_BY_STAND_IN.get(value)
      : (value as { [PATH]?: string } | null)?.[PATH];
  if (source !== undefined) sources.set(path.join("."), source);
  if (typeof value !== "object" || value === null || path.length === LEVELS_MAX) return;
  for (const [key, inner] of Object.entries(value)) findSources(inner, [...path, key], sources);
}
