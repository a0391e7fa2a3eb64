/** Reads a field of a row. It may have a name that each object inherits a value for, as `constructor`. */
export const fieldOf = (row: Record<string, unknown>, field: string): unknown =>
  Object.hasOwn(row, field) ? row[field] : undefined;
