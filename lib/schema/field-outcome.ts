/**
 * Tries on a schema whether the door takes a value that is null or absent. It is not read from the schema, because the door takes null for
 * absence (null-as-absence.ts), and because code of the schema's own decides, too.
 */
import type { PgColumn } from "drizzle-orm/pg-core";
import { z } from "zod";
import { takesJsonNull } from "./column-limits.ts";
import { nullDropper } from "./null-as-absence.ts";

type Schema = z.core.$ZodType;

interface Outcome {
  isRefused: boolean;
  value?: unknown;
}

/** What the door makes of a value. A schema whose own code throws may accept it another time. */
export function outcomeOf(schema: Schema, value: unknown): Outcome {
  try {
    const parsed = z.safeParse(schema, nullDropper(schema)(value));
    return parsed.success ? { isRefused: false, value: parsed.data } : { isRefused: true };
  } catch {
    return { isRefused: false, value };
  }
}

/** Whether the door takes a field that came as null or not at all. */
export function isTaken({ isRefused, value }: Outcome, key: string, column: PgColumn | undefined): boolean {
  if (isRefused || column === undefined) return !isRefused;
  const left = (value as Record<string, unknown>)[key];
  if (left === null && takesJsonNull(column)) return true;
  const isRequired = column.notNull && !column.hasDefault;
  return !(isRequired && (left === undefined || left === null));
}
