/** The errors of one event, however many its schema finds. */
import { expect, test } from "vitest";
import { z } from "zod";
import { Admitting } from "../../lib/ingest/admit.ts";
import { BodyParser } from "../../lib/ingest/parse-body.ts";
import type { Stream } from "../../lib/schema/stream.ts";
import events from "../streams/events.ts";

/** What an event's sender is told, if this is its stream's schema. */
function rejectionOf(
  schema: z.ZodType,
  event: unknown,
  parse: Stream["parse"] = (one) => schema.safeParse(one),
) {
  const stream: Stream = { ...events, parse };
  const parser = new BodyParser({ stream, type: "json", headers: {}, eventsMax: 9, eventMaxBytes: 32_768 });
  parser.add(Buffer.from(JSON.stringify(event)));
  parser.end();
  const found = parser.next();
  const admitting = new Admitting({
    ...{ stream, keyName: "k", idempotencyKey: undefined, eventMaxBytes: 32_768 },
    ...{ receivedAt: "2026-01-01T00:00:00.000Z", isPacked: true },
  });
  if (found) admitting.add(found);
  const [rejected] = admitting.admission.rejected;
  return { told: rejected?.errors.map(({ path }) => path), more: rejected?.more, errors: rejected?.errors };
}

const schema = z.strictObject({ a: z.string(), list: z.array(z.number()).optional() });
const keys = (count: number) => Array.from({ length: count }, (_, i) => `k${i}`);
const unknown = (count: number) => Object.fromEntries(keys(count).map((key) => [key, 1]));
const items = Array.from({ length: 30 }, () => "x");

test.each([
  ["one", {}, ["a"], undefined],
  ["19 and one unknown key", { list: items.slice(0, 18), ...unknown(1) }, 20, undefined],
  ["20 unknown keys", { a: "", ...unknown(20) }, keys(20), undefined],
  ["21 unknown keys", { a: "", ...unknown(21) }, keys(20), 1],
  ["one and 5,000 unknown keys", unknown(5000), ["a", ...keys(19)], 4981],
  ["30 items and 7 unknown keys", { a: "", list: items, ...unknown(7) }, 20, 17],
])("of %s, 20 at most are told, and the others counted", (_, event, expected, more) => {
  const rejection = rejectionOf(schema, event);
  if (typeof expected === "number") expect(rejection.told).toHaveLength(expected);
  else expect(rejection.told).toEqual(expected);
  expect(rejection.more).toBe(more);
});

test("only paths that are told are made: each repeats the keys above it, which may be 100 KB", () => {
  const found = z.array(z.number()).safeParse(Array.from({ length: 9000 }, () => "x"));
  let made = 0;
  for (const issue of found.error?.issues ?? []) Object.assign(issue.path, { join: () => `path ${made++}` });
  const { told, more } = rejectionOf(schema, {}, () => found);
  expect([told?.length, more, made]).toEqual([20, 8980, 20]);
});

test("long paths and messages are cut, between two characters, and how much", () => {
  const key = `${"k".repeat(199)}😀${"k".repeat(50)}`;
  const long = z.strictObject({ a: z.string(`${"m".repeat(250)}`) });
  const { errors } = rejectionOf(long, { [key]: 1 });
  expect(errors?.map(({ message }) => message)).toEqual([
    `${"m".repeat(200)}… (50 more characters)`,
    "is not a field of this stream",
  ]);
  expect(errors?.[1]?.path).toMatch(/^k{199}.… \(51 more characters\)$/u);
  expect(errors?.[1]?.path.isWellFormed()).toBe(true);
});
