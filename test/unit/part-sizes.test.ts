import { describe, expect, test } from "vitest";
import { PartSizes } from "../../lib/store/part-sizes.ts";

describe("how many rows an insert may have", () => {
  test("any number, until one times out; then half of it, for that stream alone", () => {
    const sizes = new PartSizes(1000);
    expect(sizes.of("slow")).toBe(Number.POSITIVE_INFINITY);
    sizes.timedOut("slow", 100);
    expect([sizes.of("slow"), sizes.of("other")]).toEqual([50, Number.POSITIVE_INFINITY]);
    sizes.timedOut("slow", 50);
    expect(sizes.of("slow")).toBe(25);
    sizes.timedOut("slow", 1);
    expect(sizes.of("slow")).toBe(1);
  });

  test("twice as many after a full and fast insert; not after a slow one, nor after a short one", () => {
    const sizes = new PartSizes(1000);
    sizes.timedOut("slow", 100);
    sizes.worked("slow", 50, 251);
    sizes.worked("slow", 49, 1);
    expect(sizes.of("slow")).toBe(50);
    sizes.worked("slow", 50, 249);
    expect(sizes.of("slow")).toBe(100);
    for (let i = 0; i < 9; i++) sizes.worked("slow", 100_000, 1);
    expect(sizes.of("slow")).toBe(Number.POSITIVE_INFINITY);
  });
});
