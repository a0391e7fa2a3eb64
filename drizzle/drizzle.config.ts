import { defineConfig } from "drizzle-kit";

/** Yours: `npm run db:generate` writes the migration from drizzle/migrations/ to the tables of lib/streams/. */
export default defineConfig({
  dialect: "postgresql",
  // stream.ts declares no table: it is there for Drizzle Kit, which ends in an error where it finds no file at all.
  schema: ["./lib/streams/*.ts", "./lib/schema/stream.ts"],
  out: "./drizzle/migrations",
});
