/** What the store needs to know of a stream's table. */
import type { PgColumn, PgTable } from "drizzle-orm/pg-core";
import type { Stream } from "../schema/stream.ts";

/** The columns of a stream's table that Spillway itself reads. */
export const ownColumnsOf = (stream: Stream) =>
  stream.table as PgTable & { id: PgColumn; receivedAt: PgColumn };

/** The id column of a stream's table. */
export const idOf = (stream: Stream): PgColumn => ownColumnsOf(stream).id;
