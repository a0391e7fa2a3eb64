/**
 * What a declaration may say of its table, key, schema and `toRow`, as types. Where it may not, the compiler expects a sentence that
 * says why: the last line of its error. A type that says too little (any, z.ZodType<Json>, PgTable) passes here, and is checked at
 * start or for each event.
 */
import type { InferInsertModel } from "drizzle-orm";
import type { PgTable } from "drizzle-orm/pg-core";
import type { z } from "zod";
import type { Json } from "./stream.ts";

type ColumnsOf<Table extends PgTable> = Table["_"]["columns"];

/** The fields of a table. */
export type FieldOf<Table extends PgTable> = keyof ColumnsOf<Table> & string;

/** A key as a declaration names it. */
export type KeyOf<Table extends PgTable> = readonly [FieldOf<Table>, ...FieldOf<Table>[]];

/** The fields whose values ingest and Postgres make, in every table that has them. */
type Base = "id" | "receivedAt" | "storedAt";

/** The columns that Postgres fills: their values are never computed by `toRow`. */
type IsLeftToPostgres<Column extends { _: object }> = Column["_"] extends {
  generated: undefined;
  identity: undefined;
  hasRuntimeDefault: false;
}
  ? Column["_"] extends { columnType: `Pg${"Serial" | "SmallSerial" | "BigSerial53" | "BigSerial64"}` }
    ? true
    : false
  : true;

type LeftToPostgres<Table extends PgTable> = {
  [Field in FieldOf<Table>]: IsLeftToPostgres<ColumnsOf<Table>[Field]> extends true ? Field : never;
}[FieldOf<Table>];

type KeyDeclared = readonly string[] | undefined;
type ConflictDeclared = { readonly key: readonly string[]; readonly newest: string } | undefined;

/** The fields of the data that identify an event, and the one that says which is the newest: they are never made by `toRow`. */
type Fixed<Key extends KeyDeclared, Conflict extends ConflictDeclared> = Exclude<
  | (Key extends readonly string[] ? Key[number] : never)
  | (Conflict extends { key: readonly string[]; newest: string }
      ? Conflict["key"][number] | Conflict["newest"]
      : never),
  "id" | "receivedAt"
>;

/** A row's own columns. */
export type OwnColumns<Table extends PgTable> = Omit<InferInsertModel<Table>, Base>;

/** What `toRow` returns. */
export type RowOf<Table extends PgTable, Key extends KeyDeclared, Conflict extends ConflictDeclared> = Omit<
  InferInsertModel<Table>,
  Base | LeftToPostgres<Table> | Fixed<Key, Conflict>
>;

/** `unknown` if there is nothing to refuse, else the property whose type is the sentence. */
export type Refusal<
  Table extends PgTable,
  Schema extends z.ZodType,
  Key extends KeyDeclared,
  Conflict extends ConflictDeclared,
  Row,
> =
  string extends FieldOf<Table>
    ? unknown
    : RefusalOfKey<Table, Key, Conflict> &
        RefusalOfData<Table, z.output<Schema>, Fixed<Key, Conflict>> &
        ([Row] extends [never]
          ? unknown
          : [Row] extends [undefined]
            ? RefusalOfSchema<Table, z.output<Schema>>
            : RefusalOfRow<Table, Row, Fixed<Key, Conflict>>);

type RefusalOfKey<
  Table extends PgTable,
  Key extends KeyDeclared,
  Conflict extends ConflictDeclared,
> = Conflict extends { key: readonly string[]; newest: string }
  ? Key extends readonly string[]
    ? { onConflict: "onConflict names a key of its own: leave key out" }
    : RefusalOfKeyField<Table, Conflict["key"][number], "onConflict"> &
        RefusalOfNewest<Table, Conflict["newest"]>
  : Key extends readonly string[]
    ? RefusalOfKeyField<Table, Key[number], "key">
    : "id" extends FieldOf<Table>
      ? unknown
      : {
          table: "the table has no field id: declare a key of fields of the data, or spread ...eventColumns() into the table";
        };

/** The fields that are others with each try of an event. */
type NotOfTheEvent<Table extends PgTable> = LeftToPostgres<Table> | "storedAt" | "receivedAt";

type RefusalOfKeyField<Table extends PgTable, Field extends string, Property extends string> = [
  Exclude<Field & NotOfTheEvent<Table>, "id">,
] extends [never]
  ? unknown
  : {
      [_ in Property]: `Postgres or ingest makes ${Field & NotOfTheEvent<Table>}, so it can't be in the key: each try of an event would have another key`;
    };

type RefusalOfNewest<Table extends PgTable, Newest extends string> =
  Newest extends FieldOf<Table>
    ? ColumnsOf<Table>[Newest]["_"]["notNull"] extends true
      ? Newest extends NotOfTheEvent<Table> | "id"
        ? { onConflict: `newest is ${Newest}, which is no field of the data` }
        : "id" extends FieldOf<Table>
          ? ColumnsOf<Table>["id"]["_"]["notNull"] extends true
            ? unknown
            : {
                onConflict: "field id may be null: declare it with .notNull(), because newest needs it where two events are equally new";
              }
          : {
              onConflict: "the table has no field id: newest needs it, because it decides between two events that are equally new";
            }
      : { onConflict: `the column of newest may be null: declare ${Newest} with .notNull()` }
    : unknown;

/** An output of a schema of which types can't tell the fields. */
type IsWide<Output> = unknown extends Output ? true : Json extends Output ? true : false;

/** The members of an output that are objects. */
type ObjectIn<Output> = Output extends readonly unknown[] ? never : Output extends object ? Output : never;

/** The fields of `Field` that an output may lack, or for which it may have null. */
type Lacking<Output, Field extends string> = Field extends string
  ? LackingIn<ObjectIn<Output>, Field>
  : never;

type LackingIn<Output, Field extends string> = Output extends object
  ? Field extends keyof Output
    ? unknown extends Output[Field]
      ? never
      : Output[Field] extends NonNullable<unknown>
        ? never
        : Field
    : Field
  : never;

/** The fields that an output may have. */
type FieldsIn<Output> =
  Output extends Record<string, never> ? never : Output extends unknown ? keyof Output & string : never;

type RefusalOfData<Table extends PgTable, Output, Fields extends string> =
  IsWide<Output> extends true
    ? unknown
    : [Lacking<Output, Fields>] extends [never]
      ? [
          NotFitting<ObjectIn<Output>, Pick<InferInsertModel<Table>, Fields & keyof InferInsertModel<Table>>>,
        ] extends [never]
        ? unknown
        : {
            schema: `the schema has another type for ${NotFitting<ObjectIn<Output>, Pick<InferInsertModel<Table>, Fields & keyof InferInsertModel<Table>>>} than the table, and the row takes it from the data as it is`;
          }
      : {
          schema: `the schema does not require ${Lacking<Output, Fields>}, which is in the key or is newest: it may be neither absent nor null`;
        };

/**
 * A refusal of a stream without `toRow`. The compiler looks at a declaration first without its `toRow`, as if there were none: such a
 * refusal must fit any function, or it would come before `toRow` is read. It has no signature, from which `toRow` would get its types.
 */
export type Refused<Sentence extends string> = { toRow: { because?: Sentence } };

type RefusalOfSchema<Table extends PgTable, Output> =
  IsWide<Output> extends true
    ? unknown
    : RefusalOfFields<Table, ObjectIn<Output>, FieldsIn<ObjectIn<Output>>>;

type RefusalOfFields<Table extends PgTable, Output, Fields extends string> = string extends Fields
  ? Refused<"the schema takes any field, and the table has columns for some: use z.strictObject, or declare toRow">
  : [Fields & Base] extends [never]
    ? [Exclude<Fields, FieldOf<Table>>] extends [never]
      ? [Exclude<Fields, keyof OwnColumns<Table>>] extends [never]
        ? [Lacking<Output, Fields & LeftToPostgres<Table>>] extends [never]
          ? RefusalOfTypes<Output, OwnColumns<Table>>
          : Refused<`the column of ${Lacking<Output, Fields & LeftToPostgres<Table>>} is left to Postgres: require it in the schema, or leave it out`>
        : Refused<`Postgres computes the column of ${Exclude<Fields, keyof OwnColumns<Table>>}: leave it out of the schema`>
      : Refused<`the table has no column for ${Exclude<Fields, FieldOf<Table>>}: declare the column, or leave the field out of the schema, or declare toRow`>
    : Refused<`${Fields & Base} is made by ingest or by Postgres: leave it out of the schema, or declare toRow`>;

type RequiredIn<Own> = { [Field in keyof Own]-?: undefined extends Own[Field] ? never : Field }[keyof Own] &
  string;

type NotFitting<Output, Own> = Output extends unknown
  ? {
      [Field in keyof Output & keyof Own]-?: Pick<Output, Field> extends Pick<Own, Field> ? never : Field;
    }[keyof Output & keyof Own] &
      string
  : never;

type RefusalOfTypes<Output, Own> = [Output] extends [Own]
  ? unknown
  : [NotFitting<Output, Own>] extends [never]
    ? Refused<`the schema has no ${Lacking<Output, RequiredIn<Own>>}, and its column must have a value`>
    : Refused<`the schema's ${NotFitting<Output, Own>} does not fit its column: it is of another type, or it may be absent or null`>;

type RefusalOfRow<Table extends PgTable, Row, Fixed extends string> =
  string extends FieldsIn<Row>
    ? unknown
    : [Exclude<FieldsIn<Row>, FieldOf<Table>>] extends [never]
      ? [FieldsIn<Row> & Fixed] extends [never]
        ? [FieldsIn<Row> & (Base | LeftToPostgres<Table>)] extends [never]
          ? unknown
          : {
              toRow: `toRow returns ${FieldsIn<Row> & (Base | LeftToPostgres<Table>)}, which ingest or Postgres makes`;
            }
        : {
            toRow: `toRow returns ${FieldsIn<Row> & Fixed}, which is in the key or is newest: the row takes it from the data as it is`;
          }
      : {
          toRow: `toRow returns ${Exclude<FieldsIn<Row>, FieldOf<Table>>}, for which the table has no column`;
        };
