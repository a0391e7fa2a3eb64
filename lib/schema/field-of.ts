/** Reads a field of a row. It may have a name that each object inherits a value for, as `constructor`. */
export const fieldOf = (row: Record<string, unknown>, field: string): unknown => {
  const value = row[field];
  return typeof value === "function" || field === "__proto__" ? ownField(row, field) : value;
};

/** All that an object inherits are functions, and `__proto__`. */
const ownField = (row: Record<string, unknown>, field: string): unknown =>
  Object.hasOwn(row, field) ? row[field] : undefined;
