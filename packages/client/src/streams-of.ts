/** The streams of an OpenAPI document of Spillway, from the types that openapi-typescript makes of it. Types only: they cost no bytes. */

/** The event that a path takes; never: it takes none. */
type EventOf<Path> = Path extends { post: { requestBody: { content: { "application/json": infer Body } } } }
  ? Exclude<Body, readonly unknown[]>
  : never;

type NameOf<Path, Item> = Path extends `/v1/${infer Name}`
  ? [EventOf<Item>] extends [never]
    ? never
    : Name extends `${string}/${string}`
      ? never
      : Name
  : never;

/** `import type { paths } from "./openapi.d.ts"; createClient<StreamsOf<paths>>(…)` */
export type StreamsOf<Paths> = {
  [Path in keyof Paths as NameOf<Path, Paths[Path]>]: EventOf<Paths[Path]>;
};
