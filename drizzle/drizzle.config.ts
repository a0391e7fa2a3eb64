import { defineConfig } from "drizzle-kit";

/** `npm run db:generate` compares these tables with the migrations and writes what is missing. */
export default defineConfig({
  dialect: "postgresql",
  schema: ["./lib/streams/*.ts", "./drizzle/dead-letters.ts"],
  out: "./drizzle/migrations",
});
