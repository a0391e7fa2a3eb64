import { defineConfig } from "drizzle-kit";

/**
 * Yours: `npm run db:generate` writes the migration from drizzle/migrations/ to the tables of lib/streams/. It gives Drizzle Kit another
 * `schema`, without the tables of `existing` streams.
 */
export default defineConfig({
  dialect: "postgresql",
  schema: ["./lib/streams/*.ts"],
  out: "./drizzle/migrations",
});
