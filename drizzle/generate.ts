/**
 * Writes the migration from the last snapshot of an installation's migrations to the tables of its streams: `npm run db:generate`
 * (dev/operate/commands/db-generate.ts). In a checkout of Spillway it also writes those of Spillway's own tables, in drizzle/spillway/.
 *
 * Tables of `existing` streams are left out (handover.ts). Drizzle Kit alone writes DROP TABLE if a stream's file is gone, and exits with 0
 * even if it failed. So it works on a copy of the folder, and only a migration that passed is copied back.
 */
import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import type { Installation } from "../lib/installation.ts";
import { loadStreams, type Registry } from "../lib/schema/registry.ts";
import { readJournal } from "../lib/store/migration-journal.ts";
import { keyOfTable, readDeclared } from "./declared.ts";
import { dropsIn } from "./drops.ts";
import { handOver } from "./handover.ts";
import { keepInOrder, tablesOfLastSnapshot } from "./journal.ts";

/** It was not done; the message is for people. */
export class Refused extends Error {}

export interface Options {
  /** Tables, or TABLE.COLUMN, that the migration may drop. */
  allowed: ReadonlySet<string>;
  /** How the migration is named. Absent: Drizzle Kit finds a name. */
  name?: string | undefined;
  /** Whether the migration is empty, to be written by hand. */
  isCustom: boolean;
}

/** Whose tables: where their migrations are, and how both are named for people. */
interface Place {
  root: string;
  folder: string;
  tables: string;
  /** The files that may configure Drizzle Kit. */
  configs: readonly string[];
  streams: URL | undefined;
}

const placeOf = ({ root, names, streams }: Installation): Place => ({
  ...{ root, folder: names.migrations, tables: names.streams },
  configs: ["drizzle/drizzle.config.ts", "drizzle.config.ts"],
  streams: pathToFileURL(streams),
});

const OURS: Place = {
  root: fileURLToPath(new URL("..", import.meta.url)),
  ...{ folder: "drizzle/spillway/", tables: "Spillway itself" },
  configs: ["drizzle/spillway.config.ts"],
  streams: undefined,
};

/**
 * Writes the migration of an installation's tables, and returns what there is to say. Throws a Refused that says why it wrote nothing, or
 * what a broken declaration throws.
 */
export const generate = (installation: Installation, options: Options): Promise<string> =>
  generateIn(placeOf(installation), options);

/** The same for Spillway's own tables, in a checkout of it. */
export const generateOurs = (options: Options): Promise<string> => generateIn(OURS, options);

const tagsOf = (folder: string) => readJournal(folder).entries.map(({ tag }) => tag);

async function generateIn(place: Place, options: Options): Promise<string> {
  const folder = join(place.root, place.folder);
  // A broken declaration ends it here.
  const streams: Registry = place.streams ? await loadStreams(place.streams) : new Map();
  const declared = place.streams && (await readDeclared(place.streams));
  const workplace = mkdtempSync(join(tmpdir(), "spillway-generate-"));
  try {
    const copy = join(workplace, "migrations");
    if (existsSync(folder)) cpSync(folder, copy, { recursive: true });
    const before = tagsOf(copy).length;
    const said = declared ? handOver(copy, declared) : [];
    const handedOver = tagsOf(copy).length;
    const { stdout, stderr } = runDrizzleKit(place, { workplace, copy, source: declared?.source }, options);
    const written = tagsOf(copy).slice(handedOver);
    if (written.length === 0 && !stdout.includes("No schema changes"))
      throw new Refused(`Drizzle Kit wrote no migration: ${stderr.trim() || stdout.trim()}`);
    for (const tag of written) checkSql(join(copy, `${tag}.sql`), options.allowed);
    const added = tagsOf(copy).slice(before);
    if (!options.isCustom) refuseHiddenTables(streams, tablesOfLastSnapshot(copy));
    if (added.length === 0)
      return place.streams && streams.size === 0
        ? "no streams: nothing to generate"
        : `nothing to generate: ${place.folder} has every table of ${place.tables}`;
    keepInOrder(copy, before);
    cpSync(copy, folder, { recursive: true });
    const files = added.map((tag) => `${place.folder}${tag}.sql`);
    return `${[...said, ...files].join("\n")}\nRead it and commit the folder; npm start and a deployment apply it.`;
  } finally {
    rmSync(workplace, { recursive: true, force: true });
  }
}

/**
 * Lets Drizzle Kit work on the copy: first without a terminal, so that its words can be read, and again with ours where it
 * has a question. Returns its words; its exit status tells nothing.
 */
function runDrizzleKit(
  { root, configs }: Place,
  { workplace, copy, source }: { workplace: string; copy: string; source: string | undefined },
  { name, isCustom }: Options,
) {
  const own = join(workplace, "drizzle.config.ts");
  const tables = join(workplace, "tables.ts");
  if (source !== undefined) writeFileSync(tables, source);
  const out = relative(root, copy); // it puts "./" before whatever it is given
  const changed = { dialect: "postgresql", out, ...(source === undefined ? {} : { schema: [tables] }) };
  const config = configs.map((file) => join(root, file)).find((file) => existsSync(file));
  const imported =
    config === undefined ? "const config = {};" : `import config from ${JSON.stringify(config)};`;
  writeFileSync(own, `${imported}\nexport default { ...config, ...${JSON.stringify(changed)} };\n`);
  const more = [...(name === undefined ? [] : ["--name", name]), ...(isCustom ? ["--custom"] : [])];
  const args = [drizzleKit(root), "generate", "--config", own, ...more];
  const said = spawnSync(process.execPath, args, {
    ...{ cwd: root, stdio: ["ignore", "pipe", "pipe"], encoding: "utf8" },
  });
  if (!said.stderr.includes("Interactive prompts require a TTY")) return said;
  if (!process.stdin.isTTY || !process.stdout.isTTY)
    throw new Refused(
      "Drizzle Kit has to ask whether something was renamed, and there is no terminal: run npm run db:generate in one",
    );
  spawnSync(process.execPath, args, { cwd: root, stdio: "inherit" });
  return { stdout: "", stderr: "it was not answered" };
}

/** The program of the installation's own Drizzle Kit. Throws a Refused that says how to have it. */
function drizzleKit(root: string): string {
  try {
    return join(dirname(createRequire(join(root, "package.json")).resolve("drizzle-kit")), "bin.cjs");
  } catch {
    throw new Refused(
      "drizzle-kit is not installed, which compares the tables: npm install --save-dev drizzle-kit",
    );
  }
}

/** Refuses a migration that drops what it may not. A schema may be there already, if somebody else has tables in it. */
function checkSql(file: string, allowed: ReadonlySet<string>): void {
  const sql = readFileSync(file, "utf8");
  refuseDrops(sql, allowed);
  writeFileSync(file, sql.replaceAll(/^CREATE SCHEMA (?=")/gm, "CREATE SCHEMA IF NOT EXISTS "));
}

function refuseDrops(sql: string, allowed: ReadonlySet<string>): void {
  const drops = dropsIn(sql).filter((name) => !allowed.has(name));
  if (drops.length === 0) return;
  const flags = drops.map((name) => `--allow-drop ${name}`).join(" ");
  throw new Refused(
    `the migration would drop ${drops.join(", ")} with all data in it, so it was not written: to take a stream away, keep its file and set retired: true; once its rows may go, npm run db:generate -- ${flags}`,
  );
}

/** Drizzle Kit sees the tables that a file exports, and no others. */
function refuseHiddenTables(streams: Registry, tables: readonly string[]): void {
  const hidden = [...streams.values()].find(
    ({ existing, table }) => !existing && !tables.includes(keyOfTable(table)),
  );
  if (hidden !== undefined)
    throw new Refused(
      `stream "${hidden.name}": expected its file to export its table, or no migration can make it`,
    );
}
