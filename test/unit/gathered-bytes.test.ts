import fc from "fast-check";
import { expect, test } from "vitest";
import { GatheredBytes } from "../../lib/flow/gathered-bytes.ts";

test("whatever is added and taken, each byte comes out once, in order", () => {
  const step = fc.oneof(
    fc.uint8Array({ maxLength: 9 }).map((bytes) => ({ add: Buffer.from(bytes) })),
    fc.constantFrom(0, 1, 5, Number.POSITIVE_INFINITY).map((take) => ({ take })),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const gathered = new GatheredBytes();
      const taken: Buffer[] = [];
      const added: Buffer[] = [];
      for (const one of steps) {
        if ("add" in one) {
          gathered.add(one.add);
          added.push(one.add);
        } else taken.push(gathered.take(one.take));
        const bytes = (list: readonly Buffer[]) => list.reduce((sum, { length }) => sum + length, 0);
        expect(gathered.length).toBe(bytes(added) - bytes(taken));
      }
      expect(Buffer.concat([...taken, gathered.take()])).toEqual(Buffer.concat(added));
    }),
    { numRuns: 1000 },
  );
});

test("several pieces are copied, so that none is held; one alone is not copied", () => {
  const gathered = new GatheredBytes();
  const pieces = ["a", "bc", "d"].map((text) => Buffer.from(text));
  for (const piece of pieces) gathered.add(piece);
  for (const piece of pieces) piece.fill("x");
  expect(gathered.take().toString()).toBe("abcd");
  const alone = Buffer.from("alone");
  gathered.add(alone);
  expect(gathered.take().buffer).toBe(alone.buffer);
});
