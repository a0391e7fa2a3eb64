/**
 * The database of a simulation: the streams' tables as people have them. Each table is partitioned and has a constraint that refuses
 * some events. The functions log in as a role that owns nothing and is not superuser, so that row-level security binds it.
 */
import pg from "pg";
import { POISON_CONSTRAINT, POISON_SOURCE, POISON_SPEED, STREAMS } from "./events.ts";

/** The role of the functions. */
export const LOGIN = { user: "simulated", password: "simulated" };

/** Partitions of each table, by hash of the id, because the key of a partitioned table contains what it is partitioned by. */
const PARTITIONS = 4;

/** A partition's name, and the bounds that it is attached with. */
export const partitionOf = (table: string, number: number) => ({
  name: `${table}_${number}`,
  bounds: `for values with (modulus ${PARTITIONS}, remainder ${number})`,
});

/** The numbers of a table's partitions. */
export const partitionNumbers = Array.from({ length: PARTITIONS }, (_, i) => i);

/** Changes the tables that the tests' streams declare, while they are empty. */
export async function prepareTables(databaseUrl: string): Promise<void> {
  const { user, password } = LOGIN;
  await execute(databaseUrl, [
    ...STREAMS.flatMap(partitioned),
    `alter table locations add constraint ${POISON_CONSTRAINT} check (speed <> ${POISON_SPEED})`,
    `alter table leads add constraint ${POISON_CONSTRAINT} check (source <> '${POISON_SOURCE}')`,
    `create role ${user} login password '${password}'`,
    `grant select, insert on ${STREAMS.join(", ")} to ${user}`,
    `grant select, insert, update, delete on dead_letters to ${user}`,
    `grant select, insert, delete on spillway_usage to ${user}`,
    `grant select, insert on spillway_rollouts to ${user}`,
    `grant select, insert, update on api_keys to ${user}`,
  ]);
}

const partitioned = (table: string): string[] => [
  `create table new_table (like ${table} including all) partition by hash (id)`,
  `drop table ${table}`,
  `alter table new_table rename to ${table}`,
  ...partitionNumbers
    .map((number) => partitionOf(table, number))
    .map(({ name, bounds }) => `create table ${name} partition of ${table} ${bounds}`),
];

/** Runs statements on a connection of their own, as the superuser; those of one text are one transaction. */
export async function execute(databaseUrl: string, statements: readonly string[]): Promise<void> {
  const client = await connect(databaseUrl);
  try {
    for (const statement of statements) await client.query(statement);
  } finally {
    await client.end();
  }
}

/** Connects as the superuser. */
export async function connect(databaseUrl: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: databaseUrl, application_name: "simulation" });
  client.on("error", () => {});
  await client.connect();
  return client;
}
