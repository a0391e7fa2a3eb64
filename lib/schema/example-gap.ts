/** A part of a schema that has no example: where it is and which zod type, for whoever has to declare one. */
import type { z } from "zod";

/** Stands in place of a value that cannot be derived. */
export class Gap {
  /** Where in the event, its parts joined by dots; "" for the event itself. */
  readonly path: string;
  /** The zod type there, with what narrows it. */
  readonly type: string;
  /** A recursive schema was left off here: what may be absent or empty, is. */
  readonly isTooDeep: boolean;

  constructor(path: readonly string[], type: string, isTooDeep = false) {
    this.path = path.join(".");
    this.type = type;
    this.isTooDeep = isTooDeep;
  }
}

/** Whether this is the gap where a recursive schema was left off. */
export const isTooDeep = (value: unknown): boolean => value instanceof Gap && value.isTooDeep;

/** A schema in words: `optional string (min_length, regex /^A/)`. */
export function describeSchema(schema: z.core.$ZodType): string {
  const { def } = schema._zod;
  const checks = [def, ...(def.checks ?? []).map(({ _zod }) => _zod.def)]
    .map((check) => check as { check?: string; format?: string; pattern?: RegExp })
    .filter(({ check }) => check !== undefined)
    .map(({ check, format, pattern }) =>
      check === "custom" ? "refinement" : format === "regex" ? `regex ${pattern}` : (format ?? check),
    );
  const own = checks.length === 0 ? def.type : `${def.type} (${checks.join(", ")})`;
  const inner = "innerType" in def ? (def.innerType as z.core.$ZodType) : undefined;
  return inner === undefined ? own : `${own} ${describeSchema(inner)}`;
}
