/** Writes a text as a literal of SQL, for the places where a statement takes no parameter. */
export const sqlLiteral = (text: string): string => `'${text.replaceAll("'", "''")}'`;
