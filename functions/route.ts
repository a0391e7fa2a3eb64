/**
 * The routes of the supervisor: each is a path as OpenAPI writes it, its methods, and the function that answers. The supervisor's
 * table (supervisor.ts) is all that it answers, and test/integration/supervisor-openapi.test.ts holds that table against the document.
 */
import type { IncomingMessage, ServerResponse } from "node:http";

/** What of a request's URL its answer needs. */
export interface Asked {
  query: URLSearchParams;
  /** What stands in the request's path for each `{name}` of the route's, in their order. */
  words: readonly string[];
}

export interface Route<Deps> {
  path: string;
  methods: readonly string[];
  /** Answers a request with one of the methods. Throws a Problem for each error. */
  answer(deps: Deps, req: IncomingMessage, res: ServerResponse, asked: Asked): Promise<void>;
}

export const READ = ["GET", "HEAD"] as const;

/** Finds the first route that fits a path, so that `/dead-letters/redrive` may stand before `/dead-letters/{id}`; undefined: none does. */
export function findRoute<Deps>(
  routes: readonly Route<Deps>[],
  path: readonly string[],
): { route: Route<Deps>; words: readonly string[] } | undefined {
  for (const route of routes) {
    const words = wordsOf(route.path, path);
    if (words !== undefined) return { route, words };
  }
  return undefined;
}

function wordsOf(template: string, path: readonly string[]): readonly string[] | undefined {
  const parts = template.split("/").slice(1);
  const fits = parts.length === path.length && parts.every((part, i) => isName(part) || part === path[i]);
  return fits ? path.filter((_, i) => isName(parts[i] ?? "")) : undefined;
}

const isName = (part: string): boolean => part.startsWith("{");
