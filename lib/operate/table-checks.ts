/** The doctor's checks of the streams' tables and of the migrations. */
import type { Finding } from "../contract/doctor.ts";
import type { Registry } from "../schema/registry.ts";
import type { AppliedMigrations } from "../store/applied-migrations.ts";
import type { JournalEntry } from "../store/migration-journal.ts";
import { type Check, listed, right, unseen, wrong } from "./finding.ts";

type Migration = Pick<JournalEntry, "tag" | "when">;

/** The migrations of both folders, and how yours is named; undefined: there are none beside this release's code. */
export type Migrations =
  | { ours: readonly Migration[]; yours: readonly Migration[]; yoursIn: string }
  | undefined;

interface Context {
  streams: Registry;
  migrations: () => Migrations;
  /** How each stream's table differs; undefined: Postgres gave no answer. */
  differences: Promise<(readonly string[] | undefined)[]>;
  applied: Promise<AppliedMigrations>;
}

/** Where to look. */
const COMPARE = "compare the tables (psql: \\d STREAM) with the files of your streams";
const MIGRATE = "spillway migrate, which may be repeated: it applies what is missing";

export function tableChecks({ streams, migrations, differences, applied }: Context): Check[] {
  const group = "spillway" as const;
  return [
    {
      ...{ group, check: "tables", where: COMPARE },
      look: async () => tablesOf(streams.size, await differences),
    },
    {
      ...{ group, check: "migrations", where: MIGRATE },
      look: () => migrationsOf(migrations(), applied),
    },
  ];
}

function tablesOf(count: number, found: (readonly string[] | undefined)[]): Finding {
  if (found.includes(undefined)) return unseen("Postgres does not tell how the tables are", COMPARE);
  const differences = found.flatMap((one) => one ?? []);
  if (differences.length === 0)
    return right(`the tables of ${count} streams are as declared`, "inserts fit them");
  return wrong(
    listed(differences),
    "Postgres refuses what does not fit; it is kept, and waits",
    "apply the migrations (spillway migrate), or change the declaration",
  );
}

async function migrationsOf(known: Migrations, applied: Promise<AppliedMigrations>): Promise<Finding> {
  if (known === undefined) return unseen("no migrations lie beside this program", MIGRATE);
  const last = await applied;
  const missing = [
    ...known.ours.filter(({ when }) => when > last.ours).map(({ tag }) => `drizzle/spillway/${tag}.sql`),
    ...known.yours.filter(({ when }) => when > last.yours).map(({ tag }) => `${known.yoursIn}${tag}.sql`),
  ];
  if (missing.length === 0)
    return right(
      `all ${known.ours.length + known.yours.length} migrations are applied`,
      "the tables are those of this release",
    );
  return wrong(
    `not applied: ${listed(missing, ", ")}`,
    "this release may name tables and columns that there are not; what Postgres refuses is kept",
    "spillway migrate",
  );
}
