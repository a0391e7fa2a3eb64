/** Compares a column's type as a declaration writes it with the same as Postgres's format_type writes it. */

/** Other names of Postgres's own types (PostgreSQL's documentation, table 8.1). */
const ALIASES = new Map(
  Object.entries({
    bool: "boolean",
    char: "character",
    bpchar: "character",
    decimal: "numeric",
    float: "double precision",
    float4: "real",
    float8: "double precision",
    int: "integer",
    int2: "smallint",
    int4: "integer",
    int8: "bigint",
    serial: "integer",
    serial2: "smallint",
    serial4: "integer",
    serial8: "bigint",
    bigserial: "bigint",
    smallserial: "smallint",
    time: "time without time zone",
    timestamp: "timestamp without time zone",
    timestamptz: "timestamp with time zone",
    timetz: "time with time zone",
    varbit: "bit varying",
    varchar: "character varying",
  }),
);

/** The types that a declaration may be compared by; of any other it is not certain how Postgres writes it. */
const KNOWN = new Set([
  ...ALIASES.values(),
  ...["bit", "box", "bytea", "cidr", "circle", "date", "inet", "interval", "json", "jsonb", "line", "lseg"],
  ...[
    "macaddr",
    "macaddr8",
    "money",
    "path",
    "point",
    "polygon",
    "text",
    "tsquery",
    "tsvector",
    "uuid",
    "xml",
  ],
]);

/** Whether the two types are the same. True, too, if the declared type is not one of Postgres's own. */
export function isSameType(declared: string, actual: string): boolean {
  const expected = normalise(declared);
  return !KNOWN.has(expected.base) || textOf(expected) === textOf(normalise(actual));
}

interface Type {
  /** In lower case, without its modifier: "character varying". */
  base: string;
  /** "10", "12,2", or nothing. */
  modifier: string;
  isArray: boolean;
}

const textOf = ({ base, modifier, isArray }: Type): string => `${base}(${modifier})${isArray ? "[]" : ""}`;

function normalise(type: string): Type {
  const [, name = "", brackets = ""] = /^(.*?)\s*((?:\[\d*\])*)$/.exec(type.trim().toLowerCase()) ?? [];
  const modifier = /\(([\d\s,]*)\)/.exec(name)?.[1]?.replaceAll(/\s/g, "") ?? "";
  const bare = name
    .replace(/\([\d\s,]*\)/, " ")
    .replaceAll(/\s+/g, " ")
    .trim();
  const base = ALIASES.get(bare) ?? bare;
  return { base, modifier: normaliseModifier(base, modifier), isArray: brackets !== "" };
}

/** Writes out what Postgres takes for granted: one character, no decimals; and leaves out a precision that is the greatest. */
function normaliseModifier(base: string, modifier: string): string {
  if (base === "character" || base === "bit") return modifier || "1";
  if (base === "numeric") return /^\d+$/.test(modifier) ? `${modifier},0` : modifier;
  return /^(?:timestamp|time|interval)\b/.test(base) && modifier === "6" ? "" : modifier;
}
