import { expect, test } from "vitest";
import { Room } from "../../lib/flow/room.ts";

const FREE = 65_536;

test("what is small needs no room; the rest is taken, and given back once", () => {
  const room = new Room(1000);
  const [one, other] = [room.share(), room.share()];
  expect([one.take(FREE), one.take(600), other.take(FREE + 401)]).toEqual([true, true, false]);
  expect([other.take(FREE), other.take(400), other.take(1)]).toEqual([true, true, false]);
  one.giveBack();
  one.giveBack();
  expect([other.take(600), other.take(1)]).toEqual([true, false]);
  other.giveBack();
  expect(room.share().take(FREE + 1000)).toBe(true);
});

test("a full room takes small requests", () => {
  const room = new Room(0);
  const shares = Array.from({ length: 9 }, () => room.share());
  expect(shares.every((share) => share.take(FREE))).toBe(true);
  expect(shares.some((share) => share.take(1))).toBe(false);
});

test("to hold takes only what was not taken before, or nothing", () => {
  const room = new Room(1000);
  const share = room.share();
  expect([share.take(FREE + 100), share.hold(FREE), share.hold(FREE + 100)]).toEqual([true, true, true]);
  expect([share.hold(FREE + 1001), share.hold(FREE + 400)]).toEqual([false, true]);
  const other = room.share();
  expect([other.take(FREE + 601), other.take(FREE + 600)]).toEqual([false, true]);
});

test("a share that was given back takes nothing any more: nobody would give that back", () => {
  const room = new Room(1000);
  const share = room.share();
  share.take(FREE + 1000);
  share.giveBack();
  expect([share.take(1), share.hold(FREE + 500), share.take(FREE + 500)]).toEqual([false, false, false]);
  expect(room.share().take(FREE + 1000)).toBe(true);
});
