import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Partition } from "../../lib/buffer/redis-keys.ts";
import { PartitionChoice } from "../../lib/ingest/partition-choice.ts";
import type { Log } from "../../lib/log.ts";

const STREAM = "events";

/** A choice of 3 partitions over lists that are plain numbers; each envelope has 100 bytes, 1,000 fit. */
function made(more: { partitions?: number; moveOnAtDepth?: number; first?: number } = {}) {
  const depths = new Map<number, number>();
  const said: string[] = [];
  const asked: number[] = [];
  let nowMs = 0;
  const say = (event: string) => void said.push(event);
  const log: Log = { debug: say, info: say, warn: say, error: say };
  const partitionChoice = new PartitionChoice({
    ...{ partitions: 3, bufferMaxBytes: 1000, moveOnAtDepth: 1_000_000, first: 0, ...more },
    depthOf: async ({ index }: Partition) => {
      asked.push(index);
      return depths.get(index) ?? 0;
    },
    now: () => nowMs,
    log,
  });
  /** Pushes one envelope where it is told to; returns the partition, undefined when it sheds. */
  async function push(stream = STREAM): Promise<number | undefined> {
    const p = await partitionChoice.choose(stream);
    if (!p) return undefined;
    const depth = (depths.get(p.index) ?? 0) + 1;
    depths.set(p.index, depth);
    partitionChoice.pushed(p, depth, 1, 100);
    return p.index;
  }
  async function fill(): Promise<number[]> {
    const placed: number[] = [];
    for (let partition = await push(); partition !== undefined; partition = await push())
      placed.push(partition);
    return placed;
  }
  return { partitionChoice, depths, said, asked, push, fill, turn: (ms: number) => (nowMs += ms) };
}

describe("where an instance pushes", () => {
  test("to one partition of its own, while that is shallow", async () => {
    const { push } = made({ first: 2 });
    expect([await push(), await push(), await push()]).toEqual([2, 2, 2]);
  });

  test("instances begin all over the partitions", () => {
    const firsts = new Set<number>();
    return Promise.all(
      Array.from({ length: 200 }, async () => {
        const partitionChoice = new PartitionChoice({
          ...{ partitions: 4, bufferMaxBytes: 1000, moveOnAtDepth: 10, now: () => 0 },
          depthOf: async () => 0,
          log: { debug() {}, info() {}, warn() {}, error() {} },
        });
        firsts.add((await partitionChoice.choose(STREAM))?.index ?? -1);
      }),
    ).then(() => expect([...firsts].sort()).toEqual([0, 1, 2, 3]));
  });

  test("a first partition beyond PARTITIONS is wrapped into them", async () => {
    expect(await made({ partitions: 2, first: 7 }).push()).toBe(1);
  });

  test("to the next when that one is deep, round and round", async () => {
    const { push } = made({ moveOnAtDepth: 2, first: 1 });
    const placed = [];
    for (let i = 0; i < 7; i++) placed.push(await push());
    expect(placed).toEqual([1, 1, 2, 2, 0, 0, 1]);
  });

  test("each stream has a place of its own", async () => {
    const { fill, push } = made();
    await fill();
    expect(await push("leads")).toBe(0);
  });
});

describe("the high-water mark", () => {
  test("the push that passes it is kept; then the next partition, then none", async () => {
    const { fill, said, asked } = made();
    const placed = await fill();
    expect(placed).toEqual([...Array(10).fill(0), ...Array(10).fill(1), ...Array(10).fill(2)]);
    expect(said).toEqual(["buffer.deep", "buffer.deep", "buffer.deep", "shedding.started"]);
    expect(asked).toHaveLength(1);
  });

  test("while shedding one list a second is asked, each in its turn", async () => {
    const { fill, push, asked, turn } = made();
    await fill();
    for (let second = 0; second < 6; second++) {
      turn(999);
      expect(await push()).toBeUndefined();
      turn(1);
      expect(await push()).toBeUndefined();
    }
    expect(asked).toHaveLength(7);
    expect(new Set(asked)).toEqual(new Set([0, 1, 2]));
  });

  test("shedding ends when a list that was drained is asked, and every drained list is used again", async () => {
    const { fill, push, said, depths, turn } = made();
    await fill();
    depths.clear();
    const used = new Set<number | undefined>();
    for (let second = 0; second < 9; second++) {
      turn(1000);
      used.add(await push());
      used.add((await fill()).at(-1));
    }
    used.delete(undefined);
    expect(used).toEqual(new Set([0, 1, 2]));
    expect(said).toContain("shedding.ended");
  });

  test("a list that Redis calls full is left out at once", async () => {
    const { partitionChoice, push } = made();
    partitionChoice.refused({ stream: STREAM, index: 0 });
    expect(await push()).toBe(1);
  });

  test("when Redis says that all is full nothing is asked for a second", async () => {
    const { partitionChoice, push, asked, said, turn } = made();
    await push();
    partitionChoice.refusedAll(STREAM);
    expect([await push(), asked]).toEqual([undefined, []]);
    turn(1000);
    expect(await push()).toBe(0);
    expect(said).toEqual(["shedding.started", "shedding.ended"]);
  });

  test("it counts bytes, not events: the size of what comes now counts most", async () => {
    const { partitionChoice } = made();
    const p = { stream: STREAM, index: 0 };
    partitionChoice.pushed(p, 1, 1, 1_000_000); // one giant
    for (let i = 0; i < 200; i++) partitionChoice.pushed({ ...p, index: 1 }, 1, 1, 10);
    partitionChoice.pushed({ ...p, index: 2 }, 60, 1, 10); // 600 bytes of 10 each
    expect((await partitionChoice.choose(STREAM))?.index).not.toBe(0);
  });
});

test("however much is pushed and drained, no list passes its mark by more than one push, and none is named that is not", async () => {
  const step = fc.oneof(
    fc.constant("push" as const),
    fc.record({ drained: fc.nat(2) }),
    fc.record({ turnedMs: fc.nat(1500) }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 200 }), async (steps) => {
      const { push, depths, turn } = made();
      for (const one of steps) {
        if (one === "push") {
          const partition = await push();
          if (partition !== undefined) expect([0, 1, 2]).toContain(partition);
        } else if ("drained" in one) depths.set(one.drained, 0);
        else turn(one.turnedMs);
        for (const depth of depths.values()) expect(depth).toBeLessThanOrEqual(10);
      }
    }),
  );
});
