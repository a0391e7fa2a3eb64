/** Both functions, as they are wired, start with settings that are probably not meant, and say so in the log. */
import { afterEach, expect, test, vi } from "vitest";
import { wireIngest } from "../../functions/wire-ingest.ts";
import { wireSupervisor } from "../../functions/wire-supervisor.ts";
import { registryOf } from "../../lib/schema/registry.ts";
import events from "../streams/events.ts";

afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
});

test.each([
  ["ingest", wireIngest],
  ["supervisor", wireSupervisor],
])("%s starts and warns of streams that it does not know", async (_function, wire) => {
  const said: string[] = [];
  vi.spyOn(process.stdout, "write").mockImplementation((line) => said.push(String(line)) > 0);
  const settings = {
    UPSTASH_REDIS_REST_URL: "http://127.0.0.1:1",
    UPSTASH_REDIS_REST_TOKEN: "t",
    DATABASE_URL: "postgres://u:p@127.0.0.1:1/d",
    DRAIN_PAUSED: "events|orders",
    INGEST_API_KEYS: `app:${"a".repeat(64)}:events|trips`,
  };
  for (const [name, value] of Object.entries(settings)) vi.stubEnv(name, value);
  await wire(registryOf([events]));
  expect(said.map((line) => JSON.parse(line))).toMatchObject([
    {
      severity: "WARNING",
      event: "config.doubted",
      setting: "DRAIN_PAUSED",
      reason: expect.stringContaining("orders"),
    },
    {
      severity: "WARNING",
      event: "config.doubted",
      setting: "INGEST_API_KEYS",
      reason: expect.stringContaining("trips"),
    },
  ]);
});
