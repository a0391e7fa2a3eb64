/** The console's server forwards what its page asks for, and nothing else. */
import { expect, test } from "vitest";
import { routeOf } from "../../dev/console/routes.ts";

test.each([
  ["GET", "/api/supervisor/live?after=r:1", { to: "supervisor", path: "/live?after=r:1", isStream: true }],
  ["GET", "/api/supervisor/dead-letters?stream=a", { to: "supervisor", path: "/dead-letters?stream=a" }],
  ["GET", "/api/supervisor/streams/a/events/b", { to: "supervisor", path: "/streams/a/events/b" }],
  ["POST", "/api/supervisor/drain/every_type", { to: "supervisor", path: "/drain/every_type" }],
  ["POST", "/api/supervisor/streams/a%20b/pause", { to: "supervisor", path: "/streams/a%20b/pause" }],
  ["POST", "/api/ingest/v1/events?ack=stored", { to: "ingest", path: "/v1/events?ack=stored" }],
  ["GET", "/api/ingest/v1/openapi.json", { to: "ingest", path: "/v1/openapi.json" }],
])("%s %s is forwarded", (method, target, route) => {
  expect(routeOf(method, target)).toMatchObject(route);
});

test.each([
  ["POST", "/api/supervisor/keys"], // a key is made on the command line, where it is printed once
  ["GET", "/api/supervisor/keys"],
  ["POST", "/api/supervisor/prune"],
  ["DELETE", "/api/supervisor/live"],
  ["POST", "/api/supervisor/live"],
  ["POST", "/api/supervisor/streams/a/events/b"],
  ["GET", "/api/supervisor/streams/../dead-letters"],
  ["GET", "/api/supervisor/dead-letters/.."],
  ["POST", "/api/supervisor/drain/%2E."],
  ["POST", "/api/supervisor/drain/a/b"],
  ["POST", "/api/ingest/v1/a/from/b"],
  ["GET", "/api/ingest/v1/a/01a2202a-a457-7572-b29d-de0d21e529d8"],
  ["GET", "/api/supervisor//evil.example/live"],
  ["GET", "/api/supervisor"],
  ["GET", "/live"],
  ["GET", "/api/elsewhere/live"],
])("%s %s is nothing", (method, target) => {
  expect(routeOf(method, target)).toBeUndefined();
});
