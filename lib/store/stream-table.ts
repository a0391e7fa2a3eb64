/** What the store needs to know of a stream's table. */
import type { PgColumn, PgTable } from "drizzle-orm/pg-core";
import type { Stream } from "../schema/stream.ts";

/** The id column of a stream's table. */
export const idOf = (stream: Stream): PgColumn => (stream.table as PgTable & { id: PgColumn }).id;
