/**
 * Drizzle and zod recognise what they have made, so a stream's table and schema have to come from the copies that Spillway itself loads. They are
 * peer dependencies, so that npm installs one of each. If an installation has two nevertheless, inserts and checks would fail in odd
 * ways: these sentences come first.
 */
import type { Table } from "drizzle-orm";
import { PgTable } from "drizzle-orm/pg-core";
import { z } from "zod";

const cure = (name: string) =>
  `install one for both: npm ls ${name} shows them, npm dedupe removes the second`;

/** What is wrong with a schema of another zod. Two copies of one version understand each other. */
export function otherZod(schema: unknown): string | undefined {
  const { version } = (schema as { _zod?: { version?: Version } })._zod ?? {};
  const [own, other] = [z.core.version, version].map(textOf);
  if (own === other) return undefined;
  return `its schema was made by zod ${other}, and Spillway runs zod ${own}: ${cure("zod")}`;
}

type Version = Pick<typeof z.core.version, "major" | "minor" | "patch">;

/** Zod tells its version from 4 on. */
const textOf = (version: Version | undefined): string =>
  version === undefined ? "3 or earlier" : `${version.major}.${version.minor}.${version.patch}`;

/** What is wrong with a table of another Drizzle. */
export function otherDrizzle(table: Table): string | undefined {
  if (table instanceof PgTable) return undefined;
  return `its table was made by another copy of drizzle-orm than Spillway's: ${cure("drizzle-orm")}, and import streams as ES modules ("type": "module")`;
}
