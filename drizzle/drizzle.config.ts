import { defineConfig } from "drizzle-kit";

/** Yours: `npm run db:generate` compares the tables of lib/streams/ with drizzle/migrations/ and writes what is missing. */
export default defineConfig({
  dialect: "postgresql",
  // stream.ts declares no table: it is there for Drizzle Kit, which ends in an error where it finds no file at all.
  schema: ["./lib/streams/*.ts", "./lib/schema/stream.ts"],
  out: "./drizzle/migrations",
});
