import { defineConfig } from "vitest/config";

/** So many test files run at once. Each of them has a Redis and a Postgres to itself. */
const WORKERS = 2;

/**
 * `unit` needs no server; `integration` runs on real servers that test/servers.ts starts, a pair for each worker; `client` has the
 * tests of packages/client and examples, with servers and a browser of its own; `adoption` runs what concerns an adopter in a copy of
 * the project.
 */
export default defineConfig({
  test: {
    maxWorkers: WORKERS,
    projects: [
      { test: { name: "unit", include: ["test/unit/**/*.test.ts", "packages/console/test/**/*.test.ts"] } },
      {
        test: {
          name: "integration",
          include: ["test/integration/**/*.test.ts"],
          globalSetup: ["test/servers.ts"],
          setupFiles: ["test/skip-http-only.ts"],
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
      {
        test: {
          name: "client",
          include: ["packages/client/test/**/*.test.ts"],
          sequence: { groupOrder: 1 }, // never beside the others, with which it would share the machine
          testTimeout: 250_000,
          hookTimeout: 250_000,
        },
      },
      {
        test: {
          name: "adoption",
          include: ["test/adoption/**/*.test.ts"],
          sequence: { groupOrder: 2 }, // never beside the others, whose timing it would disturb
        },
      },
    ],
  },
});
