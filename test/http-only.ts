/**
 * The integration tests that speak of HTTP on the way to Redis or Postgres: `npm run test:tcp` leaves them out, and says why. Every other test
 * holds on both ways. test/integration/redis-tcp.test.ts and postgres-tcp.test.ts have what belongs to TCP alone.
 */
export const HTTP_ONLY: Record<string, [tests: string, why: string][]> = {
  "blame.test.ts": [
    ["the proxy in front of Postgres", "Neon's proxy refuses in place of Postgres"],
    ["an answer without a verdict for each row settles nothing", "a made-up answer of Neon's"],
    ["a wrong token is misconfigured", "Upstash's token"],
  ],
  "breaks.test.ts": [["429 asks for patience", "Neon's proxy asks for fewer requests"]],
  "dead-letters.test.ts": [
    ["marks nothing unless Redis answers the push with a number", "an endpoint that is not Upstash's"],
  ],
  "degraded.test.ts": [
    ["answers 429", "a status of Upstash's"],
    ["answers 500", "a status; over TCP a broken connection is tried twice"],
    ["answers nonsense", "the same"],
    ["a probe that fails costs one command", "a status of 500; over TCP a broken connection is tried twice"],
  ],
  "letters-http.test.ts": [['the password (SQLSTATE "")', "Neon's proxy refuses in place of Postgres"]],
  "supervisor.test.ts": [
    ["says why a partition does not drain", "the words of Neon's proxy"],
    ["503 if Redis refuses the commands themselves", "an answer to a whole pipeline of Upstash's"],
  ],
};
