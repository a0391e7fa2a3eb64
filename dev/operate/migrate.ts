/** `npm run db:migrate`: applies the migrations (drizzle/migrate.ts), ours before yours. */
import { migrate } from "../../drizzle/migrate.ts";
import { CommandFailed, parseArguments, runCommand, UsageError } from "./command-line.ts";
import { findDatabase } from "./find-servers.ts";

const usage = `Usage: npm run db:migrate

Applies the migrations that the database lacks: Spillway's own (drizzle/spillway/), then yours (drizzle/migrations/). Each
folder is applied whole or not at all. May be repeated.

The database is DATABASE_URL in the environment, or that of a running npm start.
Exit status: 0 the database has every migration; 1 it has not, and one sentence says why; 2 wrong usage.`;

await runCommand({ name: "db:migrate", usage }, async (args) => {
  const { positionals } = parseArguments(args, {});
  if (positionals.length > 0) throw new UsageError(`expected no words, got ${positionals.join(" ")}`);
  const { databaseUrl, place } = findDatabase();
  await migrate(databaseUrl).catch((error: Error) => {
    throw new CommandFailed(error.message); // Postgres's words on a migration: no event's data are in it
  });
  console.log(`migrations applied to ${place}`);
  return 0;
});
