/** `spillway migrate`: applies the migrations (drizzle/migrate.ts), ours before yours. */
import { action } from "../command.ts";
import { CommandFailed } from "../command-line.ts";
import { findDatabase } from "../local-stack.ts";
import { yourInstallation } from "../yours.ts";

export default action({
  about: "Applies the migrations that the database lacks: Spillway's own, then yours.",
  notes:
    "Each of the two folders (Spillway's drizzle/spillway/, and yours) is applied whole or not at all. May be repeated.\n\n" +
    "The database is DATABASE_URL in the environment, or that of a running spillway start.",
  async run() {
    const installation = yourInstallation();
    const { databaseUrl, place } = findDatabase();
    const { migrate } = await import("../../../drizzle/migrate.ts");
    await migrate(databaseUrl, installation).catch((error: Error) => {
      throw new CommandFailed(error.message); // Postgres's words on a migration: no event's data are in it
    });
    console.log(`migrations applied to ${place}`);
    return 0;
  },
});
