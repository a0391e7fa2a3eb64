import { defineConfig } from "vitest/config";

/** Tests that start commands in copies of the project, and have each a database of its own: they run beside each other. */
const COMMANDS = ["db-generate", "existing-sql", "migrate", "openapi-command"].map(
  (name) => `test/integration/${name}.test.ts`,
);

/**
 * `unit` needs no server; `integration` and `commands` run on a real Redis and Postgres that test/servers.ts starts; `adoption` runs
 * what concerns an adopter in a copy of the project.
 */
export default defineConfig({
  test: {
    projects: [
      { test: { name: "unit", include: ["test/unit/**/*.test.ts"] } },
      {
        test: {
          name: "commands",
          include: COMMANDS,
          globalSetup: ["test/servers.ts"],
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
      {
        test: {
          name: "integration",
          include: ["test/integration/**/*.test.ts"],
          exclude: COMMANDS,
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
