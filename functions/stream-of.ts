/** Finds the stream that a request names, or answers why its key can't use it. */
import { mayUse } from "../lib/access/api-keys.ts";
import type { ApiKey } from "../lib/config.ts";
import type { Registry } from "../lib/schema/registry.ts";
import type { Stream } from "../lib/schema/stream.ts";
import { Problem } from "./answer.ts";

/** The most streams that a 404 names. */
const NAMED_MAX = 20;

/** Finds a stream. Throws a 404, which names the streams that the key may use, or a 403. */
export function streamOf(streams: Registry, key: ApiKey, name: string, isPost: boolean): Stream {
  const stream = streams.get(name);
  if (isPost && stream?.retired)
    throw new Problem("retired-stream", `the stream ${stream.name} takes no more events`);
  if (stream === undefined) throw unknownStream(streams, key, name);
  if (!mayUse(key, stream.name))
    throw new Problem("stream-not-allowed", `this key may not use the stream ${stream.name}`);
  return stream;
}

function unknownStream(streams: Registry, key: ApiKey, name: string): Problem {
  const usable = [...streams.values()].filter((one) => !one.retired && mayUse(key, one.name));
  const named = usable.slice(0, NAMED_MAX).map((one) => one.name);
  const more = usable.length - named.length;
  const others = more > 0 ? ` and ${more} more` : "";
  const offer = named.length === 0 ? "no stream" : `${named.join(", ")}${others}`;
  return new Problem(
    "unknown-stream",
    `no stream is named "${name.slice(0, 64)}"; this key may use ${offer}`,
    {
      streams: named,
      ...(more > 0 ? { moreStreams: more } : {}),
    },
  );
}
