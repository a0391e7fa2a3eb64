import { expect, test } from "vitest";
import { idempotentIds, idFromRaw, isUuid, newId } from "../../lib/schema/event-ids.ts";

test("a UUID is used as it is, lower-cased", () => {
  expect(idFromRaw("events", "key", "0190B3C4-AAAA-7BBB-8CCC-0123456789AB")).toBe(
    "0190b3c4-aaaa-7bbb-8ccc-0123456789ab",
  );
});

test("two callers' \"1\" never collide, nor do two streams'", () => {
  const ids = [
    idFromRaw("events", "alice", "1"),
    idFromRaw("events", "bob", "1"),
    idFromRaw("leads", "alice", "1"),
    idFromRaw("events", "alice", "2"),
  ];
  expect(new Set(ids).size).toBe(4);
  expect(ids.every(isUuid)).toBe(true);
});

test("the same raw id gives the same id in every release", () => {
  expect(idFromRaw("events", "alice", "1")).toBe("5584add4-92e9-558e-a411-1d47aae5b1c8");
});

test("equal events of one request differ by their ordinal, and a retry gets the same ids", () => {
  const first = idempotentIds("events", "alice", "k");
  const again = idempotentIds("events", "alice", "k");
  const ids = ["{}", "{}", '{"a":1}'].map(first);
  expect(new Set(ids).size).toBe(3);
  expect(["{}", "{}", '{"a":1}'].map(again)).toEqual(ids);
});

test("new ids are ordered by time to the millisecond, and none comes twice", () => {
  const ids = Array.from({ length: 10_000 }, newId);
  const times = ids.map((id) => id.slice(0, 13));
  expect([...times].sort()).toEqual(times);
  expect(new Set(ids).size).toBe(ids.length);
  expect(ids.every(isUuid)).toBe(true);
});
