/** What the alternatives share: their tables, and the insert of what waited in a buffer. */
import { type Item, insertRows } from "../../dev/load/rows.ts";
import { events } from "../../test/streams/events.ts";
import { locations } from "../../test/streams/locations.ts";

export const tables = { events, locations };

/** Inserts items: one `insert().values()` for each table. */
export const insertItems = (db: unknown, items: readonly Item[]): Promise<void> =>
  insertRows(db, tables, items);
