import { defineConfig } from "drizzle-kit";

/** Ours: Spillway's own tables. `npm run db:generate -- --ours` writes their migrations to drizzle/spillway/. */
export default defineConfig({
  dialect: "postgresql",
  schema: [
    "./lib/store/api-keys-table.ts",
    "./lib/store/dead-letters-table.ts",
    "./lib/store/rollout-stream.ts",
    "./lib/store/usage-stream.ts",
  ],
  out: "./drizzle/spillway",
});
