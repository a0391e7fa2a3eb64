/**
 * A stream is one event type. One file of your folder of streams declares all of it: its table, its schema, how an event becomes a
 * row, and when it is answered. `lib/schema/registry.ts` finds the file; no other file needs a change. This module is what an
 * installation imports as `spillway`.
 */
import { type PgTable, timestamp, uuid } from "drizzle-orm/pg-core";
import { z } from "zod";
import { type CloudEvent, type PathInCloudEvent, pathsInCloudEvent } from "./cloud-event.ts";
import { type ColumnCheck, checkColumns } from "./column-limits.ts";
import type { FieldOf, KeyOf, Refusal, RowOf } from "./declared-types.ts";
import { EMAIL } from "./email-pattern.ts";
import { fieldErrors, fieldsGiven } from "./field-errors.ts";
import { makeRecordset, type Recordset } from "./insert-from-json.ts";
import { keyErrors } from "./key-errors.ts";
import { type KeySql, makeKeySql } from "./key-sql.ts";
import { nullDropper } from "./null-as-absence.ts";
import { otherZod } from "./one-copy.ts";
import { fieldsOfSchema } from "./schema-fields.ts";
import { keyOf, type StreamKey } from "./stream-key.ts";
import { INSTANT_MAX, RFC_3339, readRfc3339 } from "./timestamp.ts";
import {
  type EarlierData,
  type NotUpgraded,
  type RefusalOfVersions,
  type Schemas,
  type Upgraded,
  versionErrors,
} from "./versions.ts";
import { type WebhookSource, type Webhooks, webhookSources } from "./webhook.ts";
import { webhookErrors } from "./webhook-errors.ts";
import { BASE_FIELDS } from "./written-columns.ts";

/** What functions of a declaration take. */
export type { CloudEvent } from "./cloud-event.ts";
export type { WebhookDelivery, Webhooks } from "./webhook.ts";

/** The columns that every stream's table has in addition to its own. */
export const eventColumns = () => ({
  /** The idempotency key. */
  id: uuid("id").primaryKey(),
  /** When ingest had read the request's body. */
  receivedAt: timestamp("received_at", { withTimezone: true, mode: "string" }).notNull(),
  /** When Postgres stored it. */
  storedAt: timestamp("stored_at", { withTimezone: true, mode: "string" }).defaultNow().notNull(),
});

/**
 * A point in time as RFC 3339 text, from 0001-01-01T00:00:00Z to 9999-12-31T23:59:59.999999Z. It is buffered as it came, and Postgres
 * rounds it to the microsecond. `aheadMaxMs`: how far it may be ahead of the clock of ingest, in milliseconds. @default no bound
 */
export const timestampText = ({ aheadMaxMs = Number.POSITIVE_INFINITY } = {}) =>
  z
    .stringFormat("datetime", (text) => errorOfInstant(text, aheadMaxMs) === undefined, {
      error: ({ input }) => errorOfInstant(input, aheadMaxMs),
    })
    .meta({ ...INSTANT, description: `An RFC 3339 date-time${aheadOf(aheadMaxMs)}.` });

/** What a JSON schema says of such a text. */
const INSTANT = { pattern: RFC_3339, maxLength: INSTANT_MAX };

const aheadOf = (aheadMaxMs: number) =>
  aheadMaxMs === Number.POSITIVE_INFINITY ? "" : `, at most ${aheadMaxMs / 1000} seconds from now`;

function errorOfInstant(value: unknown, aheadMaxMs: number): string | undefined {
  if (typeof value !== "string") return "expected an RFC 3339 date-time, got no text";
  const read = readRfc3339(value);
  if (typeof read === "string") return read;
  const isAhead = read.seconds * 1000 + read.micros / 1000 > Date.now() + aheadMaxMs;
  return isAhead ? `expected a time at most ${aheadMaxMs / 1000} seconds from now` : undefined;
}

/** An e-mail address, also with letters beyond ASCII (RFC 6531). */
export const emailText = () =>
  z
    .email({ pattern: EMAIL, error: "expected an e-mail address" })
    .max(320, "expected at most 320 characters")
    .meta({ format: "idn-email" });

/** An optional field, in which some values mean that it is unset, as a speed of -1 does on iOS. */
export const unsetIf = <Schema extends z.ZodType<Json>>(
  isUnset: (value: z.output<Schema>) => boolean,
  schema: Schema,
) => schema.optional().overwrite((value) => (value !== undefined && isUnset(value) ? undefined : value));

/** Any JSON value. An event waits in Redis as JSON, so its schema may return nothing else (no Date, no Map). */
export type Json =
  | string
  | number
  | boolean
  | null
  | readonly Json[]
  | { readonly [key: string]: Json | undefined };

/** Accepts any JSON value except null, and does not change it. `json().nullable()` accepts null, too. */
export const json = () =>
  z.custom<NonNullable<Json>>((value) => value !== undefined && value !== null, {
    error: ({ input }) =>
      input === undefined ? "expected a JSON value" : "expected a JSON value other than null",
  });

/** The level of an answer: buffered (202, Redis has the event) or stored (201, Postgres has it). */
export type Ack = "buffered" | "stored";

interface Declaration<
  Name extends string,
  Table extends PgTable,
  Schema extends z.ZodType<Json>,
  Key,
  Conflict,
  V extends number,
> {
  /** The stream's name in URLs and in Redis. Its table may have another one. */
  name: Name;
  table: Table;
  /**
   * The fields that identify a row: `id` (the event's) or fields of the data, which the schema requires. The table has a unique index on
   * exactly these. @default ["id"]
   */
  key?: Key;
  /**
   * Keeps one row for each key, the newest event's: of two, the one whose `newest` is greater, or whose id is if those are equal.
   * In place of `key`.
   */
  onConflict?: Conflict;
  /** Whether the table is there already, and somebody else's: migrations leave it out. @default false */
  existing?: boolean;
  /** The events that a client may send, without `id`. Unknown keys are rejected: use z.strictObject. */
  schema: Schema;
  /** The lowest level of its answers; a request may ask for a higher one. @default "buffered" */
  ack?: Ack;
  /**
   * The version of the data's shape, 1 to 999,999,999. Raise it when the schema changes, and declare the schema that it had in
   * `versions`. @default 1
   */
  v?: V;
  /** Earlier versions that this release doesn't read. What is still buffered of them becomes dead letters. */
  droppedVersions?: readonly number[];
  /** Whether ingest refuses new events. Those that are buffered are still drained. @default false */
  retired?: boolean;
  /** Events that a client may send, for docs and tests. Needed only if none can be derived from the schema. */
  examples?: readonly z.input<NoInfer<Schema>>[];
  /**
   * Turns a CloudEvent into an event of this stream. If it throws, the event is rejected. It is also called once at start, with values
   * that stand for a CloudEvent's, to learn which of its fields an error must name. @default its data
   */
  fromCloudEvent?(event: CloudEvent): unknown;
  /**
   * Who may post signed webhooks in place of an API key, by the name of the source in the URL: `POST /v1/{stream}/from/{source}`.
   * @default nobody
   */
  webhooks?: Webhooks<z.input<NoInfer<Schema>>>;
}

interface Mapping<DataAndVersion extends unknown[], Row> {
  /**
   * Turns validated data into the row's own columns. `v` is the version under which the data was buffered; if there is an `upgrade`,
   * the data is always today's. If a column has a default, undefined and null become that default. Without `toRow`, the data's
   * fields are the columns in every version, and the drain usually does not parse the data.
   */
  toRow?: ((...of: DataAndVersion) => Row) | undefined;
}

/** Today's data, and today's version. NoInfer: else `v === 1` would not tell earlier data from today's. */
type DataOfToday<Schema extends z.ZodType, V extends number> = [data: z.output<Schema>, v: NoInfer<V>];

type AnyDeclaration = Declaration<
  string,
  PgTable,
  z.ZodType<Json>,
  readonly string[] | undefined,
  { key: readonly string[]; newest: string } | undefined,
  number
> & { versions?: Schemas; upgrade?: unknown; toRow?: unknown };

/** A stream as the rest of Spillway sees it. */
export interface Stream {
  readonly name: string;
  readonly table: PgTable;
  readonly key: StreamKey;
  /** How an event is compared with stored rows. */
  readonly keySql: KeySql;
  /** Whether the table is somebody else's: migrations leave it out. */
  readonly existing: boolean;
  readonly schema: z.ZodType;
  /** Checks an event against the schema. Null in a field that may be absent is absence (null-as-absence.ts): it is looked for, unless `hasNoNull`. */
  readonly parse: (event: unknown, hasNoNull?: boolean) => z.ZodSafeParseResult<unknown>;
  /** Makes a row's own columns of data. undefined: the data are the row. */
  readonly toRow: ((data: unknown, v: number) => Record<string, unknown>) | undefined;
  /** Turns the data of an earlier version into today's. */
  readonly upgrade: ((data: unknown, v: number) => unknown) | undefined;
  /** Turns rows into the parameters of an insert. */
  readonly recordset: Recordset;
  /** Finds the first column that cannot hold its value; undefined: every column can. */
  readonly checkRow: ColumnCheck;
  readonly ack: Ack;
  readonly v: number;
  readonly droppedVersions: ReadonlySet<number>;
  readonly retired: boolean;
  /** The declared examples, not yet checked. `exampleOf` checks each one before it returns it. */
  readonly examples: readonly unknown[];
  readonly fromCloudEvent: (event: CloudEvent) => unknown;
  /** Finds the CloudEvent's field from which a field of the event was made. */
  readonly pathInCloudEvent: PathInCloudEvent;
  /** The sources of webhooks, by name. */
  readonly webhooks: ReadonlyMap<string, WebhookSource>;
}

/**
 * Declares a stream whose earlier data `upgrade` turns into today's. The rest is as below: this signature stands first, because the
 * compiler's error speaks of the last one.
 */
export function defineStream<
  Name extends string,
  Table extends PgTable,
  Schema extends z.ZodType<Json>,
  V extends number,
  Versions extends Schemas,
  const Key extends KeyOf<Table> | undefined = undefined,
  const Conflict extends { key: KeyOf<Table>; newest: FieldOf<Table> } | undefined = undefined,
  Row extends RowOf<Table, Key, Conflict> | undefined = undefined,
>(
  declaration: Declaration<Name, Table, Schema, Key, Conflict, V> &
    Upgraded<Versions, Schema> &
    Mapping<DataOfToday<Schema, V>, Row> &
    Refusal<NoInfer<Table>, NoInfer<Schema>, NoInfer<Key>, NoInfer<Conflict>, NoInfer<Row>>,
): Stream;
/**
 * Declares a stream. What can't work does not compile, or throws an error of one sentence here: a name that does not fit a URL and a
 * Redis key, a `v` that does not fit an envelope, a key that the event does not determine (key-errors.ts), fields and columns that do
 * not fit each other (field-errors.ts), a webhook without a secret's name (webhook-errors.ts).
 *
 * @example
 * export const orders = pgTable("orders", { ...eventColumns(), sku: text("sku").notNull() });
 * export default defineStream({ name: "orders", table: orders, schema: z.strictObject({ sku: z.string() }) });
 */
export function defineStream<
  Name extends string,
  Table extends PgTable,
  Schema extends z.ZodType<Json>,
  const Key extends KeyOf<Table> | undefined = undefined,
  const Conflict extends { key: KeyOf<Table>; newest: FieldOf<Table> } | undefined = undefined,
  V extends number = 1,
  Versions extends Schemas = Record<never, never>,
  Row extends RowOf<Table, Key, Conflict> | undefined = undefined,
>(
  declaration: Declaration<Name, Table, Schema, Key, Conflict, V> &
    NotUpgraded<Versions, Schema> &
    Mapping<EarlierData<Versions> | DataOfToday<Schema, V>, Row> &
    Refusal<NoInfer<Table>, NoInfer<Schema>, NoInfer<Key>, NoInfer<Conflict>, NoInfer<Row>> &
    RefusalOfVersions<NoInfer<Versions>, NoInfer<Table>, NoInfer<Row>>,
): Stream;
export function defineStream(declaration: AnyDeclaration): Stream {
  const { name, table, schema, v = 1, versions = {}, droppedVersions = [], existing = false } = declaration;
  for (const one of [schema, ...Object.values(versions)]) {
    const other = otherZod(one);
    if (other !== undefined) throw new Error(`stream "${name}": ${other}`);
  }
  const key = keyOf(declaration);
  const hasToRow = declaration.toRow !== undefined;
  const declared = {
    ...{ v, table, key, existing, droppedVersions, hasToRow },
    areUpgraded: declaration.upgrade !== undefined,
    schemaFields: fieldsOfSchema(schema),
    earlierFields: new Map(Object.entries(versions).map(([n, one]) => [n, fieldsOfSchema(one)])),
  };
  const checks = [
    namingErrors(declaration),
    keyErrors(declared),
    fieldErrors(declared),
    versionErrors(declared),
    webhookErrors(declaration.webhooks),
  ];
  for (const errors of checks) for (const error of errors) throw new Error(`stream "${name}": ${error}`);
  const given = fieldsGiven(declared);
  const areOpen = hasToRow || declared.schemaFields.isUnknown;
  const fromCloudEvent = declaration.fromCloudEvent ?? ((event: CloudEvent) => event.data);
  const dropNulls = nullDropper(schema);
  return {
    name,
    table,
    key,
    keySql: makeKeySql(table, key),
    existing,
    schema,
    parse: (event, hasNoNull = false) => schema.safeParse(hasNoNull ? event : dropNulls(event)),
    toRow: declaration.toRow as Stream["toRow"],
    upgrade: declaration.upgrade as Stream["upgrade"],
    droppedVersions: new Set(droppedVersions),
    recordset: makeRecordset(table, given),
    checkRow: checkColumns(table, BASE_FIELDS, { given, areOpen }),
    ack: declaration.ack ?? "buffered",
    v,
    retired: declaration.retired ?? false,
    examples: declaration.examples ?? [],
    fromCloudEvent,
    pathInCloudEvent: pathsInCloudEvent(fromCloudEvent),
    webhooks: webhookSources(declaration.webhooks),
  };
}

/** Yields what is wrong with what types can't bound. */
function* namingErrors({ name, v = 1, key, onConflict }: AnyDeclaration): Generator<string> {
  if (!/^[a-z][a-z0-9_]{0,62}$/.test(name))
    yield "expected a name that begins with a letter and has only a-z, 0-9 and _, at most 63";
  if (!Number.isInteger(v) || v < 1 || v > 999_999_999)
    yield `expected v to be a whole number from 1 to 999999999, got ${v}`;
  if (key !== undefined && onConflict !== undefined)
    yield "onConflict names a key of its own: expected key or onConflict, got both";
  if (onConflict !== undefined && onConflict.newest === undefined)
    yield "onConflict names no newest: expected the field that says which of two events is newer";
}
