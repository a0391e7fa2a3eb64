import { defineConfig } from "drizzle-kit";

/** `npm run db:generate` compares these tables with the migrations and writes what is missing. */
export default defineConfig({
  dialect: "postgresql",
  schema: ["./lib/streams/*.ts", "./lib/store/dead-letters-table.ts"],
  out: "./drizzle/migrations",
});
