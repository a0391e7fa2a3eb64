/** Accepts any n; its table refuses n ≤ 0 (23514), and a trigger sleeps or raises by `note`. */
import { sql } from "drizzle-orm";
import { check, integer, pgTable, text } from "drizzle-orm/pg-core";
import { z } from "zod";
import { defineStream, eventColumns } from "../../lib/schema/stream.ts";

const table = pgTable(
  "checked",
  { ...eventColumns(), n: integer("n").notNull(), note: text("note") },
  (own) => [check("n_is_positive", sql`${own.n} > 0`)],
);

export const ddl = `
  create or replace function checked_trigger() returns trigger language plpgsql as $$
    begin
      if new.note = 'sleeps' then perform pg_sleep(30); end if;
      if new.note = 'terminated' then raise exception 'no' using errcode = '57P01'; end if;
      if new.note = 'raises' then raise exception 'no'; end if;
      if new.note = 'disk full' then raise exception 'no' using errcode = '53100'; end if;
      return new;
    end $$;
  create trigger checked_trigger before insert on checked for each row execute function checked_trigger();`;

export default defineStream({
  name: "checked",
  table,
  schema: z.strictObject({ n: z.int(), note: z.string().optional() }),
  toRow: ({ n, note }) => {
    if (note === "toRow throws") throw new RangeError("on purpose");
    return { n, note };
  },
});
