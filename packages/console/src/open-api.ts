/** What the page takes from ingest's OpenAPI document: each stream's example, and whether its events are stored before the answer. */
import { signal } from "@preact/signals";
import { askIngest } from "./server.ts";

export interface DescribedStream {
  name: string;
  /** An event, as JSON for people; undefined: the stream has no example. */
  example: string | undefined;
  /** Its only good answer is 201. */
  isStored: boolean;
}

interface OpenApi {
  paths: Record<
    string,
    {
      post?: {
        requestBody?: { content?: Record<string, { examples?: { one?: { value?: unknown } } }> };
        responses?: object;
      };
    }
  >;
}

/** Null: not read yet, or ingest can't be asked. */
export const described = signal<readonly DescribedStream[] | null>(null);

/** Reads it once. Throws a Refused if ingest can't be asked. */
export async function describeStreams(): Promise<void> {
  if (described.value === null)
    described.value = streamsIn(await askIngest<OpenApi>("GET", "/v1/openapi.json"));
}

function streamsIn({ paths }: OpenApi): DescribedStream[] {
  return Object.entries(paths).flatMap(([path, { post }]) => {
    const [, name] = /^\/v1\/([^/{}.]+)$/.exec(path) ?? [];
    if (name === undefined || post === undefined) return [];
    const value = post.requestBody?.content?.["application/json"]?.examples?.one?.value;
    const example = value === undefined ? undefined : JSON.stringify(value, null, 2);
    return [{ name, example, isStored: !("202" in (post.responses ?? {})) }];
  });
}
