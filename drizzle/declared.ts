/**
 * What the files of your streams export for Drizzle Kit. A file whose stream is `existing` counts as somebody else's with all that it
 * exports: its table, and the types and the schema that the table needs.
 */
import { readdirSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { is } from "drizzle-orm";
import { getTableConfig, isPgEnum, isPgSchema, isPgSequence, PgTable } from "drizzle-orm/pg-core";
import type { Stream } from "../lib/schema/stream.ts";

interface File {
  path: string;
  module: Record<string, unknown> & { default: Stream };
}

/** Something that a snapshot of Drizzle Kit's names: its section, and its key there. */
export interface Named {
  section: "tables" | "enums" | "sequences" | "schemas";
  key: string;
}

/** What is declared, by whom it belongs to. */
export interface Declared {
  ours: Named[];
  existing: Named[];
  /** A module that exports to Drizzle Kit what is ours. */
  source: string;
}

/** Reads the files of this folder, each of which declares a stream. */
export async function readDeclared(folder: URL): Promise<Declared> {
  const files = await Promise.all(filesOf(folder).map((name) => readFile(new URL(name, folder))));
  const ours = files.filter(({ module }) => !module.default.existing);
  const existing = files.filter(({ module }) => module.default.existing);
  return {
    ours: ours.flatMap(({ module }) => namedIn(exportsOf(module))),
    existing: existing.flatMap(({ module }) => namedIn([...exportsOf(module), module.default.table])),
    source: sourceOf(ours),
  };
}

/** As the registry does: the folder may be missing. */
function filesOf(folder: URL): string[] {
  try {
    return readdirSync(folder)
      .filter((file) => /\.[jt]s$/.test(file))
      .sort();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
}

async function readFile(url: URL): Promise<File> {
  return { path: fileURLToPath(url), module: await import(url.href) };
}

const exportsOf = (module: File["module"]): unknown[] =>
  Object.entries(module).flatMap(([name, value]) => (name === "default" ? [] : [value]));

/** A table needs its schema, whether that is exported or not. */
const namedIn = (values: readonly unknown[]): Named[] =>
  values.flatMap((value): Named[] => {
    if (is(value, PgTable)) {
      const { schema } = getTableConfig(value);
      const table: Named = { section: "tables", key: keyOfTable(value) };
      return schema === undefined ? [table] : [table, { section: "schemas", key: schema }];
    }
    if (isPgEnum(value)) return [{ section: "enums", key: `${value.schema ?? "public"}.${value.enumName}` }];
    if (isPgSchema(value)) return [{ section: "schemas", key: value.schemaName }];
    if (isPgSequence(value))
      return [{ section: "sequences", key: `${value.schema ?? "public"}.${value.seqName}` }];
    return [];
  });

/** A table's key in a snapshot. */
export function keyOfTable(table: PgTable): string {
  const { schema = "public", name } = getTableConfig(table);
  return `${schema}.${name}`;
}

/** Drizzle Kit makes a schema only if somebody exports it, so each one that a table is in is exported here. */
function sourceOf(files: readonly File[]): string {
  const own = files.map(({ path, module }, i) => {
    const names = Object.keys(module).filter((name) => name !== "default");
    const list = names.map((name) => `${name} as of${i}_${name}`).join(", ");
    return `export { ${list} } from ${JSON.stringify(path)};`;
  });
  const named = files.flatMap(({ module }) => namedIn(exportsOf(module)));
  const schemas = new Set(named.filter(({ section }) => section === "schemas").map(({ key }) => key));
  const made = [...schemas].map((name, i) => `export const schema${i} = pgSchema(${JSON.stringify(name)});`);
  const pgCore = createRequire(import.meta.url).resolve("drizzle-orm/pg-core");
  return [`import { pgSchema } from ${JSON.stringify(pgCore)};`, ...own, ...made, ""].join("\n");
}
