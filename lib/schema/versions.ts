/**
 * Versions of a stream's data. Data wait in the buffer and in letters as the release that accepted them made them, and a later release
 * reads them. So each version from 1 to v − 1 is declared with the schema that it had, or is named as dropped on purpose.
 *
 *     version of the data    this release
 *     v                      stores it
 *     earlier, declared      stores it, by `upgrade` or `toRow`
 *     earlier, dropped       makes a dead letter of it, and does not redrive it
 *     newer than v           leaves it where it is, for the release that knows it
 */
import type { PgTable } from "drizzle-orm/pg-core";
import type { z } from "zod";
import type { OwnColumns, Refused } from "./declared-types.ts";
import { type FieldsDeclaration, fieldsGiven } from "./field-errors.ts";
import { presenceIn, type SchemaFields } from "./schema-fields.ts";
import type { Json, Stream } from "./stream.ts";
import type { StreamKey } from "./stream-key.ts";
import { BASE_FIELDS, writtenColumns } from "./written-columns.ts";

/** The schemas of earlier versions, by version. */
export type Schemas = Readonly<Record<number, z.ZodType<Json>>>;

/** Data of an earlier version, and that version. As the arguments of a function, `v === 1` tells which data it is. */
export type EarlierData<Versions extends Schemas> = {
  [N in keyof Versions & number]: [data: z.output<Versions[N]>, v: N];
}[keyof Versions & number];

/** `upgrade` turns earlier data into today's. */
export interface Upgraded<Versions extends Schemas, Schema extends z.ZodType> {
  /** The schemas of earlier versions, as they were: `{ 1: schemaV1 }`. */
  versions: Versions;
  /**
   * Turns the data of an earlier version into today's. The key's fields stay as they were in that data. If it throws, the event is
   * treated as if `toRow` threw.
   */
  upgrade(...of: EarlierData<Versions>): z.output<Schema>;
}

/**
 * Earlier data go to `toRow` as they are, or are the columns. `upgrade` is here only for the compiler's errors: it speaks of the last
 * signature of `defineStream`, also if the declaration has an `upgrade`.
 */
export interface NotUpgraded<Versions extends Schemas, Schema extends z.ZodType> {
  /** The schemas of earlier versions, as they were: `{ 1: schemaV1 }`. */
  versions?: Versions;
  upgrade?: [keyof Versions] extends [never] ? undefined : Upgraded<Versions, Schema>["upgrade"] | undefined;
}

/** Earlier versions whose data are no columns. */
type NoColumns<Versions extends Schemas, Columns> = {
  [N in keyof Versions]: z.output<Versions[N]> extends Columns
    ? FieldsOf<z.output<Versions[N]>> extends keyof Columns
      ? never
      : N
    : N;
}[keyof Versions] &
  number;

/** Without `toRow` and `upgrade`, the data of each version are the columns. See `Refused` in declared-types.ts. */
export type RefusalOfVersions<Versions extends Schemas, Table extends PgTable, Row> = [Row] extends [never]
  ? unknown
  : [Row] extends [undefined]
    ? [NoColumns<Versions, OwnColumns<Table>>] extends [never]
      ? unknown
      : Refused<`the data of version ${NoColumns<Versions, OwnColumns<Table>>} are not the columns: declare upgrade, or toRow`>
    : unknown;

/** The fields of each of a union's objects. */
type FieldsOf<Data> = Data extends unknown ? keyof Data : never;

export interface VersionsDeclaration extends FieldsDeclaration {
  v: number;
  key: StreamKey;
  droppedVersions: readonly number[];
}

/**
 * Yields which earlier version is neither declared nor dropped, and which declared one can't be read: each as a sentence that says what
 * to do. The first is the one to mend.
 */
export function* versionErrors(declaration: VersionsDeclaration): Generator<string> {
  const { v, earlierFields, droppedVersions } = declaration;
  const known = [...earlierFields.keys()].map(Number);
  for (const n of [...known, ...droppedVersions])
    if (!Number.isInteger(n) || n < 1 || n >= v)
      yield `version ${n} is not earlier than its v, ${v}: take it out of versions and droppedVersions, or raise v`;
  const twice = droppedVersions.find((n) => known.includes(n));
  if (twice !== undefined)
    yield `version ${twice} is in versions and in droppedVersions: take it out of one of them`;
  const all = new Set([...known, ...droppedVersions]);
  for (let n = 1; n < v; n++)
    if (!all.has(n))
      yield `version ${n} is missing: declare the schema that it had in versions, or name it in droppedVersions, and what is left of it becomes dead letters`;
  for (const [n, fields] of earlierFields) yield* errorsOfEarlier(declaration, n, fields);
}

/** Of a version whose data are read. */
function* errorsOfEarlier(
  declaration: VersionsDeclaration,
  n: string,
  earlier: SchemaFields,
): Generator<string> {
  const { fields, isOpen } = earlier;
  const { key, table, hasToRow, areUpgraded } = declaration;
  if (!hasToRow && !areUpgraded) {
    const written = writtenColumns(table, fieldsGiven(declaration)).map(({ field }) => field);
    const lost = [...fields.keys()].find((field) => !written.includes(field) || BASE_FIELDS.includes(field));
    if (isOpen || lost !== undefined)
      yield `${isOpen ? "any field" : `field "${lost}"`} of version ${n} is no column: declare upgrade, which turns its data into today's`;
  }
  const open = key.fieldsOfData.find((field) => presenceIn(earlier, field) === "maybe");
  if (open !== undefined)
    yield `version ${n} does not require the key's field "${open}", so its events have no key: name the version in droppedVersions, or choose another key`;
}

type Versioned = Pick<Stream, "v" | "droppedVersions">;

/** What a release can do with data of a version. */
export type VersionState = "today" | "earlier" | "dropped" | "newer";

/** Says what this release can do with data of a version. */
export function stateOfVersion({ v, droppedVersions }: Versioned, ofData: number): VersionState {
  if (ofData === v) return "today";
  if (ofData > v) return "newer";
  return droppedVersions.has(ofData) ? "dropped" : "earlier";
}

/** Why this release can't read data of a version; undefined: it can. */
export function whyUnreadable(stream: Versioned, ofData: number): string | undefined {
  switch (stateOfVersion(stream, ofData)) {
    case "newer":
      return "it was buffered by a newer release";
    case "dropped":
      return `its data has version ${ofData}, which is in droppedVersions`;
    default:
      return undefined;
  }
}
