/**
 * Letters: the events that Postgres refused, or that killed the drains that held them. A table of
 * Postgres, because when a row is refused Postgres is up, and people can query it.
 *
 * A letter is *held* while `retry_at` is set: nothing proves yet that its event is at fault, and it is tried again by
 * itself. Without `retry_at` it is *dead*.
 */
import { sql } from "drizzle-orm";
import { index, integer, pgTable, primaryKey, text, timestamp, uuid } from "drizzle-orm/pg-core";

const timestampColumn = (name: string) => timestamp(name, { withTimezone: true, mode: "string" });

export const deadLetters = pgTable(
  "dead_letters",
  {
    stream: text("stream").notNull(),
    id: uuid("id").notNull(),
    /** The event's key as JSON, by which its row is found; null: its id, or it has none that Postgres can read. */
    key: text("key"),
    /** The envelope, unpacked, with its id in lower case; foreign text as it was found. */
    envelope: text("envelope").notNull(),
    /** What Postgres said; null where it was not Postgres that refused. */
    sqlstate: text("sqlstate"),
    /** Why, without data of the event. */
    reason: text("reason").notNull(),
    /** How many times this event became a dead letter; each redrive can add one. */
    burials: integer("burials").notNull(),
    /** Refusals while it is held, the first one included; of a letter that is tried alone, how many times it broke the connection. */
    tries: integer("tries").notNull().default(0),
    /** When a held letter is tried next; null: it is dead. */
    retryAt: timestampColumn("retry_at"),
    receivedAt: timestampColumn("received_at"),
    /** When it died; while it is held, when it was set aside. */
    diedAt: timestampColumn("died_at").notNull().defaultNow(),
    /** When it was last pushed again; null: it waits for somebody to look. */
    redrivenAt: timestampColumn("redriven_at"),
  },
  (table) => [
    primaryKey({ columns: [table.stream, table.id] }),
    index("dead_letters_died_at").on(table.diedAt),
    index("dead_letters_retry_at").on(table.stream, table.retryAt).where(sql`${table.retryAt} is not null`),
  ],
);
