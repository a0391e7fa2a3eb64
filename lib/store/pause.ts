/** The pause before a held letter is tried again: 1, 2, 4 … 60 minutes, by its number of refusals. */
import { type SQL, sql } from "drizzle-orm";

/** An SQL interval. `tries`: an SQL integer; 0 gives half a minute. */
export const pauseAfter = (tries: SQL): SQL =>
  sql`least(power(2, least(${tries} - 1, 6)), 60) * interval '1 minute'`;
