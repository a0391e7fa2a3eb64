/** What each target of a surge is offered alike: the same posts, over as many connections, with the same patience. */
import type { Target } from "./targets.ts";

/** Sockets of the load generator. */
export const CONNECTIONS = 400;
/** A request that waited this long for its answer counts as an error. */
const TIMEOUT_MS = 10_000;

/** The job of a load on a target, but for its phases and connections. */
export const offerTo = ({ port, apiKey, name }: Target) =>
  ({ port, apiKey, stream: name, kind: "gps", warmupSeconds: 0, timeoutMs: TIMEOUT_MS }) as const;
