import { defineConfig } from "vitest/config";

/**
 * `unit` needs no server; `integration` runs on a real Redis and Postgres that test/servers.ts starts; `adoption` runs
 * what concerns an adopter in a copy of the project.
 */
export default defineConfig({
  test: {
    projects: [
      { test: { name: "unit", include: ["test/unit/**/*.test.ts"] } },
      {
        test: {
          name: "integration",
          include: ["test/integration/**/*.test.ts"],
          globalSetup: ["test/servers.ts"],
          fileParallelism: false,
          testTimeout: 60_000,
          hookTimeout: 120_000,
        },
      },
      {
        test: {
          name: "adoption",
          include: ["test/adoption/**/*.test.ts"],
          sequence: { groupOrder: 1 }, // never beside the others, whose timing it would disturb
        },
      },
    ],
  },
});
