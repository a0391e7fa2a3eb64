/** Crossings of the flush threshold. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { crosses } from "../../lib/ingest/flush-threshold.ts";

test("exactly one push sees each crossing of 100·2^k, however pushes are cut", () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 500 }), { maxLength: 100 }), (sizes) => {
      let depth = 0;
      let crossings = 0;
      for (const size of sizes) {
        if (crosses(depth, depth + size, 100)) crossings += 1;
        depth += size;
      }
      const levels = depth < 100 ? 0 : Math.floor(Math.log2(depth / 100)) + 1;
      expect(crossings).toBeLessThanOrEqual(levels);
      if (sizes.every((size) => size === 1)) expect(crossings).toBe(levels);
      expect(crossings > 0).toBe(levels > 0);
    }),
  );
});
