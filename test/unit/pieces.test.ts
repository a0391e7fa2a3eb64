/** The small pure pieces: crossings, slots, the breaker, the token bucket, SQLSTATEs, columns. */
import { doublePrecision, integer, pgTable, smallint, varchar } from "drizzle-orm/pg-core";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { TokenBuckets } from "../../lib/access/token-bucket.ts";
import { Breaker } from "../../lib/flow/breaker.ts";
import { FairSlots } from "../../lib/flow/fair-slots.ts";
import { crosses } from "../../lib/ingest/flush-threshold.ts";
import type { Log } from "../../lib/log.ts";
import { checkColumns } from "../../lib/schema/column-limits.ts";
import { outcomeOf } from "../../lib/store/postgres-errors.ts";

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

test("slots are handed out round robin, so a busy queue starves none", async () => {
  const slots = new FairSlots(1);
  const order: string[] = [];
  let open = () => {};
  const gate = new Promise<void>((resolve) => {
    open = resolve;
  });
  const run = (queue: string) =>
    slots.run(queue, async () => {
      order.push(queue);
      await gate;
    });
  const all = ["busy", "busy", "busy", "busy", "quiet"].map(run);
  open();
  await Promise.all(all);
  expect(order).toEqual(["busy", "busy", "quiet", "busy", "busy"]);
});

test("a slot comes back when the work fails", async () => {
  const slots = new FairSlots(1);
  await expect(slots.run("a", () => Promise.reject(new Error("no")))).rejects.toThrow("no");
  expect(await slots.run("a", async () => 1)).toBe(1);
});

describe("the breaker", () => {
  const made = () => {
    const said: string[] = [];
    let nowMs = 0;
    const say = (event: string) => void said.push(event);
    const log: Log = { debug: say, info: say, warn: say, error: say };
    return { said, breaker: new Breaker(() => nowMs, log), turn: (ms: number) => (nowMs += ms) };
  };

  test("opens at three failures in ten seconds, and closes after a good probe", () => {
    const { said, breaker, turn } = made();
    breaker.failed();
    breaker.failed();
    expect(breaker.mayTry()).toBe(true);
    breaker.failed();
    expect(breaker.mayTry()).toBe(false);
    turn(29_999);
    expect(breaker.mayTry()).toBe(false);
    turn(1);
    expect([breaker.mayTry(), breaker.mayTry()]).toEqual([true, false]); // one probe at a time
    breaker.succeeded();
    expect(breaker.mayTry()).toBe(true);
    expect(said).toEqual(["breaker.opened", "breaker.probed", "breaker.closed"]);
  });

  test("stays open for thirty seconds more after a bad probe", () => {
    const { breaker, turn } = made();
    for (let i = 0; i < 3; i++) breaker.failed();
    turn(30_000);
    breaker.mayTry();
    breaker.failed();
    turn(29_999);
    expect(breaker.mayTry()).toBe(false);
    turn(1);
    expect(breaker.mayTry()).toBe(true);
  });

  test("three failures spread over more than ten seconds leave it closed", () => {
    const { breaker, turn } = made();
    for (let i = 0; i < 5; i++) {
      breaker.failed();
      turn(5000);
    }
    expect(breaker.mayTry()).toBe(true);
  });
});

test("a token bucket refills by the clock, and a request larger than the burst passes when it is full", () => {
  let nowMs = 0;
  const buckets = new TokenBuckets(10, () => nowMs);
  expect(buckets.take("a", 20)).toBe(0);
  expect(buckets.take("a", 15)).toBe(2);
  expect(buckets.take("b", 1)).toBe(0);
  nowMs += 2000;
  expect(buckets.take("a", 100)).toBe(0);
  nowMs += 1000;
  expect(buckets.take("a", 1)).toBeGreaterThan(0); // still paying
});

test.each([
  [undefined, "unreachable"],
  ["08006", "unreachable"],
  ["57P01", "unreachable"],
  ["57P03", "unreachable"],
  ["42P01", "misconfigured"],
  ["42501", "misconfigured"],
  ["28P01", "misconfigured"],
  ["3D000", "misconfigured"],
  ["3F000", "misconfigured"],
  ["25006", "misconfigured"],
  ["22P05", "row"],
  ["23514", "row"],
  ["44000", "row"],
  ["54000", "row"],
  ["P0001", "row"],
  ["57014", "unclear"],
  ["53100", "unclear"],
  ["40P01", "unclear"],
  ["25P02", "unclear"],
])("SQLSTATE %s is %s", (code, outcome) => expect(outcomeOf(code)).toBe(outcome));

test("a value that its column cannot hold is named by its field", () => {
  const table = pgTable("t", {
    small: smallint("small"),
    whole: integer("whole").notNull(),
    short: varchar("short", { length: 3 }),
    real: doublePrecision("real"),
  });
  const check = checkColumns(table, []);
  expect(check({ whole: 1, small: -32_768, short: "äöü", real: 1e300 })).toBeUndefined();
  expect(check({ whole: 1, short: "😀😀😀" })).toBeUndefined(); // characters, not UTF-16 units
  expect(check({})?.path).toBe("whole");
  expect(check({ whole: 2 ** 31 })?.path).toBe("whole");
  expect(check({ whole: 1.5 })?.path).toBe("whole");
  expect(check({ whole: 1, small: 32_768 })?.path).toBe("small");
  expect(check({ whole: 1, short: "four" })?.path).toBe("short");
});
