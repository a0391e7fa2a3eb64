/** Points in time, compared with Postgres itself: what is accepted, and which instant each text is. */
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { errorOfTime, readRfc3339 } from "../../lib/schema/timestamp.ts";
import { openWorld, type World } from "./test-stack.ts";

let world: World;
beforeAll(async () => {
  world = await openWorld();
});
afterAll(() => world.close());

/** 0001-01-01T00:00:00Z and 10000-01-01T00:00:00Z, in microseconds since 1970. */
const [FIRST, END] = [-62_135_596_800_000_000n, 253_402_300_800_000_000n];

const digits = (min: number, max: number, length = 2) =>
  fc.integer({ min, max }).map((number) => String(number).padStart(length, "0"));
/** Often a bound. */
const near = (min: number, max: number, ...often: number[]) =>
  fc.oneof(
    digits(min, max),
    fc.constantFrom(...often).map((number) => String(number).padStart(2, "0")),
  );
const fraction = fc.oneof(
  fc.constant(""),
  fc.stringMatching(/^\.\d{1,12}$/),
  fc.stringMatching(/^\.\d{100,130}$/),
  fc.stringMatching(/^\.(?:\d{6}5|9{6}[0-9]{1,5}|0{6}[45][0-9]?)$/),
);
const offset = fc.oneof(
  fc.constantFrom("Z", "z", "-00:00", "+15:59", "-15:59", "+16:00", "-23:59"),
  fc
    .tuple(fc.constantFrom("+", "-"), near(0, 24, 15, 16), near(0, 60, 59, 60))
    .map(([sign, h, m]) => `${sign}${h}:${m}`),
);
const date = fc.oneof(
  fc
    .tuple(digits(0, 9999, 4), near(0, 13, 2, 12), near(0, 32, 28, 29, 30, 31))
    .map((parts) => parts.join("-")),
  fc.constantFrom("0000-12-31", "0001-01-01", "9999-12-31", "1900-02-29", "2000-02-29"),
);
const time = fc
  .tuple(near(0, 25, 0, 23, 24), near(0, 60, 0, 59), near(0, 61, 0, 59, 60))
  .map((parts) => parts.join(":"));
const atBounds = fc.constantFrom(
  ...[
    "0001-01-01T00:00:00+00:01",
    "0001-01-01T00:01:00+00:01",
    "0001-01-01T00:00:00Z",
    "0001-01-01T00:00:00-15:59",
  ],
  ...[
    "9999-12-31T23:59:59.9999994Z",
    "9999-12-31T23:59:59.9999995Z",
    "9999-12-31T23:59:60Z",
    "9999-12-31T23:59:59-00:01",
  ],
);
const anyDateTime = fc
  .tuple(date, fc.constantFrom("T", "t", " "), time, fraction, offset)
  .map((parts) => parts.join(""));
const dateTime = fc.oneof({ weight: 9, arbitrary: anyDateTime }, atBounds);
/** The same with a part that RFC 3339 demands left out. */
const shorter = fc.oneof(
  date,
  fc.tuple(date, time, fraction).map(([day, at, rest]) => `${day}T${at}${rest}`),
  fc.tuple(date, time, offset).map(([day, at, zone]) => `${day} ${at.slice(0, 5)}${zone}`),
);

/** What Postgres makes of texts: microseconds since 1970, in UTC; null: it refuses one. */
async function read(type: string, texts: readonly string[]): Promise<(bigint | null)[]> {
  const { rows } = await world.sql.query(
    `select case when pg_input_is_valid(text, '${type}') then
       (extract(epoch from text::${type}) * 1000000)::numeric(30)::text end as micros
     from unnest($1::text[]) with ordinality as given (text, i) order by i`,
    [texts],
  );
  return rows.map(({ micros }) => (micros === null ? null : BigInt(micros)));
}

const isInRange = (micros: bigint | null) => micros !== null && micros >= FIRST && micros < END;

test("an RFC 3339 text is accepted if and only if Postgres takes it as an instant in range, and it is that instant", async () => {
  let accepted = 0;
  const check = async (texts: readonly string[]) => {
    const taken = await read("timestamptz", texts);
    const found = texts.map((text) => readRfc3339(text));
    const mine = found.map((one) =>
      typeof one === "string" ? null : BigInt(one.seconds) * 1_000_000n + BigInt(one.micros),
    );
    const expected = texts.map((text, i) => {
      const isRfc3339 = !/^.{11}24/.test(text) && text.length <= 149; // Postgres takes more
      return isRfc3339 && isInRange(taken[i] ?? null) ? taken[i] : null;
    });
    accepted += mine.filter((one) => one !== null).length;
    expect(texts.map((text, i) => [text, mine[i]])).toEqual(texts.map((text, i) => [text, expected[i]]));
  };
  const property = fc.asyncProperty(fc.array(dateTime, { minLength: 20, maxLength: 60 }), check);
  await fc.assert(property, { numRuns: 150 });
  expect(accepted).toBeGreaterThan(500);
});

test.each([
  ["timestamptz", true],
  ["timestamp", false],
] as const)(
  "a text in a column of type %s is refused if Postgres refuses it, or reads a year that is not 1 to 9999",
  async (type, hasZone) => {
    const property = fc.asyncProperty(
      fc.array(fc.oneof(dateTime, shorter), { minLength: 20, maxLength: 60 }),
      async (texts) => {
        const taken = await read(type, texts);
        for (const [i, text] of texts.entries()) {
          const isKnown = text.length <= 149;
          if (isKnown)
            expect([text, errorOfTime(text, hasZone) === undefined]).toEqual([
              text,
              isInRange(taken[i] ?? null),
            ]);
        }
      },
    );
    await fc.assert(property, { numRuns: 100 });
  },
);

test("a text of another form is left to Postgres", () => {
  for (const text of ["now", "infinity", "January 8, 1999", "19990108T040506", "2026-11-21T09:30:00+05"])
    expect(errorOfTime(text, true)).toBeUndefined();
});
