/**
 * `npm run db:generate`: writes the migration from the last snapshot of drizzle/migrations/ to the tables of lib/streams/.
 *
 *   --ours              the same for Spillway's own tables, in drizzle/spillway/
 *   --allow-drop NAME   a table, or TABLE.COLUMN, that the migration may drop; may be given several times
 *   anything else       is for Drizzle Kit, which compares and writes: --name NAME, --custom
 *
 * Tables of `existing` streams are left out (handover.ts). Drizzle Kit alone writes DROP TABLE if a stream's file is gone, and exits with 0 even if it failed. So it works on a copy of
 * the folder, and only a migration that passed is copied back. Exit status 0: a migration was written, or none was needed.
 * Exit status 1: one sentence says why, and the folder is unchanged.
 */
import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { loadStreams, type Registry } from "../lib/schema/registry.ts";
import { readJournal } from "../lib/store/migration-journal.ts";
import { keyOfTable, readDeclared } from "./declared.ts";
import { dropsIn } from "./drops.ts";
import { handOver } from "./handover.ts";
import { keepInOrder, tablesOfLastSnapshot } from "./journal.ts";

const projectRoot = fileURLToPath(new URL("..", import.meta.url));

const YOURS = { config: "drizzle/drizzle.config.ts", folder: "drizzle/migrations", tables: "lib/streams/" };
const OURS = { config: "drizzle/spillway.config.ts", folder: "drizzle/spillway", tables: "Spillway itself" };

/** It was not done; the message is for people. */
class Refused extends Error {}

interface Options {
  isOurs: boolean;
  allowed: Set<string>;
  /** Drizzle Kit's. */
  rest: string[];
}

function readOptions(args: readonly string[]): Options {
  const options: Options = { isOurs: false, allowed: new Set(), rest: [] };
  const left = args.flatMap((arg) => (arg.startsWith("--allow-drop=") ? arg.split(/=(.*)/s, 2) : [arg]));
  while (left.length > 0) {
    const arg = left.shift() as string;
    if (arg === "--ours") options.isOurs = true;
    else if (arg !== "--allow-drop") options.rest.push(arg);
    else {
      const name = left.shift();
      if (!name || name.startsWith("-")) throw new Refused("--allow-drop: expected a table, or TABLE.COLUMN");
      options.allowed.add(name);
    }
  }
  return options;
}

const tagsOf = (folder: string) => readJournal(folder).entries.map(({ tag }) => tag);

/** Writes the migration, and returns what there is to say. Throws Refused. */
async function generate({ isOurs, allowed, rest }: Options): Promise<string> {
  const place = isOurs ? OURS : YOURS;
  const streams: Registry = isOurs ? new Map() : await loadStreams(); // a broken declaration ends it here
  const declared = isOurs ? undefined : await readDeclared();
  const workplace = mkdtempSync(join(tmpdir(), "spillway-generate-"));
  try {
    const copy = join(workplace, "migrations");
    if (existsSync(place.folder)) cpSync(place.folder, copy, { recursive: true });
    const before = tagsOf(copy).length;
    const said = declared ? handOver(copy, declared) : [];
    const handedOver = tagsOf(copy).length;
    const { stdout, stderr } = runDrizzleKit(
      place.config,
      { workplace, copy, source: declared?.source },
      rest,
    );
    const written = tagsOf(copy).slice(handedOver);
    if (written.length === 0 && !stdout.includes("No schema changes"))
      throw new Refused(`Drizzle Kit wrote no migration: ${stderr.trim() || stdout.trim()}`);
    for (const tag of written) checkSql(join(copy, `${tag}.sql`), allowed);
    const added = tagsOf(copy).slice(before);
    if (!rest.includes("--custom")) refuseHiddenTables(streams, tablesOfLastSnapshot(copy));
    if (added.length === 0)
      return !isOurs && streams.size === 0
        ? "no streams: nothing to generate"
        : `nothing to generate: ${place.folder}/ has every table of ${place.tables}`;
    keepInOrder(copy, before);
    cpSync(copy, place.folder, { recursive: true });
    const files = added.map((tag) => `${place.folder}/${tag}.sql`);
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
  config: string,
  { workplace, copy, source }: { workplace: string; copy: string; source: string | undefined },
  rest: readonly string[],
) {
  const own = join(workplace, "drizzle.config.ts");
  const tables = join(workplace, "tables.ts");
  if (source !== undefined) writeFileSync(tables, source);
  const out = relative(process.cwd(), copy); // it puts "./" before whatever it is given
  const changed = { out, ...(source === undefined ? {} : { schema: [tables] }) };
  writeFileSync(
    own,
    `import config from ${JSON.stringify(join(projectRoot, config))};\nexport default { ...config, ...${JSON.stringify(changed)} };\n`,
  );
  const args = ["node_modules/drizzle-kit/bin.cjs", "generate", "--config", own, ...rest];
  const said = spawnSync(process.execPath, args, { stdio: ["ignore", "pipe", "pipe"], encoding: "utf8" });
  if (!said.stderr.includes("Interactive prompts require a TTY")) return said;
  if (!process.stdin.isTTY || !process.stdout.isTTY)
    throw new Refused(
      "Drizzle Kit has to ask whether something was renamed, and there is no terminal: run npm run db:generate in one",
    );
  spawnSync(process.execPath, args, { stdio: "inherit" });
  return { stdout: "", stderr: "it was not answered" };
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

process.chdir(projectRoot);
try {
  console.log(await generate(readOptions(process.argv.slice(2))));
} catch (error) {
  console.error(`db:generate: ${(error as Error).message}`);
  process.exitCode = 1;
}
