/**
 * API keys that were made by command. Postgres is the authority: Redis holds a copy of those that may be used, for ingest.
 *
 * Only a key's SHA-256 is here. Rows are never deleted: a revoked or expired key stays, so that it can be told whose it was.
 */
import { bigint, index, integer, pgTable, text, timestamp } from "drizzle-orm/pg-core";

const timestampColumn = (name: string) => timestamp(name, { withTimezone: true, mode: "string" });

export const apiKeys = pgTable(
  "api_keys",
  {
    /** In hex. */
    sha256: text("sha256").primaryKey(),
    /** The scope of ids. While a key is rotated, two or more keys of one name are valid. */
    name: text("name").notNull(),
    kind: text("kind", { enum: ["secret", "public"] }).notNull(),
    /** The streams it may use; null: all. */
    streams: text("streams").array(),
    eventsPerSecond: integer("events_per_second"),
    perAddressPerSecond: integer("per_address_per_second"),
    origins: text("origins").array().notNull(),
    /** Of the last change of this key: greater than that of each change before it, of any key (key-store.ts). */
    version: bigint("version", { mode: "number" }).notNull(),
    createdAt: timestampColumn("created_at").notNull().defaultNow(),
    expiresAt: timestampColumn("expires_at"),
    revokedAt: timestampColumn("revoked_at"),
  },
  (table) => [index("api_keys_version").on(table.version), index("api_keys_name").on(table.name)],
);
