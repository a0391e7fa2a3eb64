/** Events that are nearly right, for properties: an example, with some of its values changed, taken away or added. */
import fc from "fast-check";
import { type Example, exampleOf } from "../../lib/schema/example.ts";
import type { Stream } from "../../lib/schema/stream.ts";

/** Values at the edges of types, ranges and columns. */
const numbers = [
  ...[0, -0, 1, -1, 0.5, 1.5, 9, 10, 90, 90.1, 999.994, 999.995, 9999, 32_767, 32_768, -32_768, -32_769],
  ...[2_147_483_647, 2_147_483_648, 3_000_000_000, -2_147_483_648, -2_147_483_649],
  ...[2 ** 53 - 1, -(2 ** 53 - 1), 2 ** 53, 1e22, 1e300, 1e-46, -7.1e-46, 1e-45, 5e-324],
];
const texts = [
  ...["", " ", "a", "ab", "abc", "abcd", "äöü", "😀😀😀", "😀😀😀😀", "open", "done", "closed", "none"],
  ...["2026-11-21T09:30:00Z", "2026-11-21 09:30:60.5+15:59", "2026-02-30T00:00:00Z", "2026-11-21T24:00:00Z"],
  ...["0000-01-01T00:00:00Z", "9999-12-31T23:59:59-01:00", "2026-11-21", "2026-02-29", "09:30", "24:00"],
  ...["2026-13-01T00:00:00Z", "2026-11-21T09:30:00+16:00", "2026-11-21T09:30:00", "now"],
  ...["999.994", "999.995", "1000", "0001", "1e3", "-1e-3", "NaN", "9999999999", "99999999999", "1.005"],
  ...["a@b.example", "jörg@bücher.example", "a@b", "192.0.2.1", "P1D", "ref-7a", "true", "yes", "AB-1234"],
  ...["circle", "polygon", "a", "b", "019ab000-0000-4000-8000-000000000001", "a\u0000b", "\ud800"],
  "x".repeat(201),
];
const value = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom<unknown>(...numbers) },
  { weight: 3, arbitrary: fc.constantFrom<unknown>(...texts) },
  { weight: 2, arbitrary: fc.constant<unknown>(null) },
  fc.boolean(),
  fc.array(fc.constantFrom<unknown>(...numbers, ...texts, null), { maxLength: 3 }),
  fc.constantFrom<unknown>({}, [[]], [[1, 2]], { text: "x", size: null }, { kind: null, n: null }, [null]),
  fc.jsonValue({ maxDepth: 2 }),
);

/** One change: which value (counted through the event), and what becomes of it; undefined takes it away. */
const change = fc.record({ at: fc.nat(), to: fc.option(value, { nil: undefined, freq: 6 }) });

interface Change {
  at: number;
  to: unknown;
}

/** The places of an event's values, at any depth, those of its fields first. */
function placesOf(event: unknown): { owner: Record<string, unknown>; key: string }[] {
  if (typeof event !== "object" || event === null) return [];
  const owner = event as Record<string, unknown>;
  const own = Object.keys(owner).map((key) => ({ owner, key }));
  return [...own, ...own.flatMap(({ key }) => placesOf(owner[key]))];
}

function applied(event: Example, changes: readonly Change[], fields: readonly string[]): Example {
  const changed = structuredClone(event);
  for (const { at, to } of changes) {
    const places = [...fields.map((key) => ({ owner: changed, key })), ...placesOf(changed)];
    const place = places[at % places.length];
    if (place === undefined) continue;
    if (to !== undefined || Array.isArray(place.owner)) place.owner[place.key] = structuredClone(to ?? null);
    else delete place.owner[place.key];
  }
  return changed;
}

/** Events near to those of a stream. `id` and unheard-of fields are among what may be added. */
export function nearEventsOf(stream: Stream): fc.Arbitrary<Example> {
  const examples = Array.from({ length: 20 }, (_, i) => exampleOf(stream, i)).filter(
    (one) => one !== undefined,
  );
  const fields = [...new Set([...examples.flatMap((one) => Object.keys(one)), "id", "unheardOf"])];
  return fc
    .tuple(fc.constantFrom(...examples), fc.array(change, { maxLength: 4 }))
    .map(([event, changes]) => applied(event, changes, fields));
}
