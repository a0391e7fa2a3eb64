/** Which problems each operation of ingest may answer. A status of an operation has the codes of its problems, and no others. */
import { type ProblemCode, problems } from "../contract/problems.ts";

/** What any request may hear, whatever it asks for. */
export const ANY: readonly ProblemCode[] = [
  "malformed-request",
  "request-timeout",
  "expectation-failed",
  "headers-too-large",
  "internal-error",
  "instance-ending",
];

/** What a request with a key may hear. */
const KEYED: readonly ProblemCode[] = [
  ...ANY,
  "missing-key",
  "unknown-key",
  "expired-key",
  "origin-not-allowed",
  "public-key-not-allowed",
  "keys-away",
];

const OF_STREAM: readonly ProblemCode[] = [...KEYED, "stream-not-allowed", "unknown-stream", "rate-limited"];

const BODY: readonly ProblemCode[] = [
  "invalid-body",
  "body-too-large",
  "unsupported-encoding",
  "buffer-full",
  "servers-away",
  "database-refuses",
  "instance-busy",
];

export const operationProblems = {
  send: [
    ...[...OF_STREAM, ...BODY],
    ...(["retired-stream", "buffer-away", "invalid-query", "invalid-header"] as const),
    ...(["event-too-large", "too-many-events", "unsupported-media-type"] as const),
    ...(["invalid-event", "refused-by-database"] as const),
  ],
  find: [...OF_STREAM, "invalid-query", "impossible-id", "database-away"],
  findMany: [...OF_STREAM, "invalid-query", "database-away"],
  deliver: [
    ...[...ANY, ...BODY],
    ...(["retired-stream", "unknown-source", "invalid-signature"] as const),
    ...(["webhook-without-secret", "webhook-late"] as const),
  ],
  describe: KEYED,
  health: ANY,
} as const satisfies Record<string, readonly ProblemCode[]>;

export type OperationName = keyof typeof operationProblems;

/** Codes by status, in ascending order. */
export function codesByStatus(codes: readonly ProblemCode[]): ReadonlyMap<number, readonly ProblemCode[]> {
  const byStatus = new Map<number, ProblemCode[]>();
  for (const code of codes) {
    const { status } = problems[code];
    byStatus.set(status, [...(byStatus.get(status) ?? []), code]);
  }
  return new Map([...byStatus].sort(([a], [b]) => a - b));
}
