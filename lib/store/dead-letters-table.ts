/**
 * Dead letters: the events that Postgres refused, or that killed the drains that held them. A table of
 * Postgres, because when a row is refused Postgres is up, and people can query it.
 */
import { index, integer, pgTable, primaryKey, text, timestamp, uuid } from "drizzle-orm/pg-core";

const timestampColumn = (name: string) => timestamp(name, { withTimezone: true, mode: "string" });

export const deadLetters = pgTable(
  "dead_letters",
  {
    stream: text("stream").notNull(),
    id: uuid("id").notNull(),
    /** The envelope, unpacked, with its id in lower case; foreign text as it was found. */
    envelope: text("envelope").notNull(),
    /** What Postgres said; null where it was not Postgres that refused. */
    sqlstate: text("sqlstate"),
    /** Why, without data of the event. */
    reason: text("reason").notNull(),
    /** How many times this event became a dead letter; each redrive can add one. */
    burials: integer("burials").notNull(),
    receivedAt: timestampColumn("received_at"),
    diedAt: timestampColumn("died_at").notNull().defaultNow(),
    /** When it was last pushed again; null: it waits for somebody to look. */
    redrivenAt: timestampColumn("redriven_at"),
  },
  (table) => [
    primaryKey({ columns: [table.stream, table.id] }),
    index("dead_letters_died_at").on(table.diedAt),
  ],
);
