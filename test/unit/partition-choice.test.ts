import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Partition } from "../../lib/buffer/redis-keys.ts";
import { PartitionChoice } from "../../lib/ingest/partition-choice.ts";
import type { Log } from "../../lib/log.ts";

const STREAM = "events";

/** A choice of 3 partitions over lists of sizes. Into each 1,000 bytes fit, ten envelopes of 100. */
function made(more: { partitions?: number; moveOnAtDepth?: number; first?: number } = {}) {
  const lists = new Map<string, number[]>();
  const said: string[] = [];
  const asked: number[] = [];
  let nowMs = 0;
  const say = (event: string) => void said.push(event);
  const log: Log = { debug: say, info: say, warn: say, error: say };
  const partitionChoice = new PartitionChoice({
    ...{ partitions: 3, bufferMaxBytes: 1000, moveOnAtDepth: 1_000_000, first: 0, ...more },
    measure: async (partition) => {
      asked.push(partition.index);
      if (isHanging) await new Promise(() => {});
      if (failure) throw failure;
      const sizes = listOf(partition);
      return { depth: sizes.length, bytes: bytesOf(sizes) };
    },
    monotonicMs: () => nowMs,
    log,
  });
  let failure: Error | undefined;
  let isHanging = false;
  const bytesOf = (sizes: number[]) => sizes.reduce((sum, bytes) => sum + bytes, 0);
  function listOf({ stream, index }: Partition): number[] {
    const name = `${stream}:${index}`;
    const list = lists.get(name) ?? [];
    lists.set(name, list);
    return list;
  }
  /** Pushes one envelope where it is told to; returns the partition, undefined when it sheds. */
  async function push(stream = STREAM, bytes = 100): Promise<number | undefined> {
    const p = await partitionChoice.choose(stream);
    if (!p) return undefined;
    partitionChoice.pushed(p, listOf(p).push(bytes), 1, bytes);
    return p.index;
  }
  /** Another instance pushes. */
  const pushOther = (index: number, ...sizes: number[]) => listOf({ stream: STREAM, index }).push(...sizes);
  const drain = (index: number) => lists.delete(`${STREAM}:${index}`);
  async function fill(): Promise<number[]> {
    const placed: number[] = [];
    for (let partition = await push(); partition !== undefined; partition = await push())
      placed.push(partition);
    return placed;
  }
  return {
    ...{ partitionChoice, said, asked, push, fill, pushOther, drain },
    bytesIn: (index: number) => bytesOf(listOf({ stream: STREAM, index })),
    turn: (ms: number) => (nowMs += ms),
    hang: () => {
      isHanging = true;
    },
    break: (error: Error | undefined) => {
      failure = error;
    },
  };
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
          ...{ partitions: 4, bufferMaxBytes: 1000, moveOnAtDepth: 10, monotonicMs: () => 0 },
          measure: async () => ({ depth: 0, bytes: 0 }),
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

  test("while shedding one list a second is measured, each in its turn", async () => {
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

  test("shedding ends when a list that was drained is measured, and every drained list is used again", async () => {
    const { fill, push, said, drain, turn } = made();
    await fill();
    for (const index of [0, 1, 2]) drain(index);
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

  test("a list that is full is looked at again while others are free, one a second, and no push waits for it", async () => {
    const { partitionChoice, fill, push, asked, drain, turn } = made();
    partitionChoice.refused({ stream: STREAM, index: 1 });
    partitionChoice.refused({ stream: STREAM, index: 2 });
    for (let i = 0; i < 9; i++) await push();
    expect(asked).toEqual([1]);
    turn(1000);
    expect([await push(), asked]).toEqual([0, [1, 2]]);
    await fill();
    for (const index of [0, 1, 2]) drain(index);
    turn(1000);
    expect([await push(), await push()]).toEqual([0, 0]);
  });

  test("a look that hangs holds up no push while a list is free, and no other look begins", async () => {
    const { partitionChoice, push, asked, hang, turn } = made();
    hang();
    partitionChoice.refused({ stream: STREAM, index: 0 });
    for (let second = 0; second < 3; second++) {
      expect(await push()).toBe(1);
      turn(1000);
    }
    expect(asked).toEqual([0]);
  });

  test("a look that fails is an error only if no list is free", async () => {
    const choice = made();
    choice.break(new Error("away"));
    choice.partitionChoice.refused({ stream: STREAM, index: 0 });
    expect(await choice.push()).toBe(1);
    choice.partitionChoice.refused({ stream: STREAM, index: 1 });
    choice.partitionChoice.refused({ stream: STREAM, index: 2 });
    choice.turn(1000);
    await expect(choice.push()).rejects.toThrow("away");
    expect(await choice.push()).toBeUndefined(); // within the second nobody asks
    choice.break(undefined);
    choice.turn(1000);
    expect(await choice.push()).not.toBeUndefined();
  });

  test("a list that was emptied and filled again is said to be deep again", async () => {
    const { push, said, drain } = made();
    for (let i = 0; i < 6; i++) await push();
    drain(0);
    for (let i = 0; i < 6; i++) await push();
    expect(said).toEqual(["buffer.deep", "buffer.deep"]);
    drain(0);
    await push(STREAM, 600);
    expect(said).toEqual(["buffer.deep", "buffer.deep", "buffer.deep"]);
  });
});

describe("the estimate of a list", () => {
  test("is this instance's own bytes: a giant counts once, and does not make the others giants", async () => {
    const { push, said, asked } = made();
    await push(STREAM, 400);
    for (let i = 0; i < 59; i++) expect(await push(STREAM, 10)).toBe(0);
    expect([said, asked]).toEqual([["buffer.deep"], []]); // 990 bytes
    expect(await push(STREAM, 10)).toBe(0);
    expect(await push(STREAM, 10)).toBe(1);
  });

  test("of what others pushed is checked before it is believed: first the list, then its log", async () => {
    const { push, pushOther, said, asked } = made();
    for (const index of [0, 1, 2]) pushOther(index, ...Array(20).fill(10));
    expect(await push(STREAM, 300)).toBe(0); // as if 20 × 300 waited there
    for (let i = 0; i < 10; i++) expect(await push(STREAM, 10)).not.toBeUndefined();
    expect([said, asked]).toEqual([["buffer.deep"], [0]]); // 200 + 300 bytes
  });

  test("of what others pushed is checked before it is said to be deep", async () => {
    const { push, pushOther, said, asked } = made();
    pushOther(0, ...Array(10).fill(10));
    for (let i = 0; i < 3; i++) await push(STREAM, 60); // as if 10 × 60 waited there
    expect([said, asked]).toEqual([[], [0]]);
  });

  test("takes the others to be like the stream's latest thousands, of which one giant is only one", async () => {
    const { partitionChoice, asked } = made();
    const p = { stream: STREAM, index: 0 };
    for (let round = 0; round < 10; round++) partitionChoice.pushed(p, 90, 90, 900);
    partitionChoice.pushed(p, 1, 1, 400);
    partitionChoice.pushed({ ...p, index: 1 }, 41, 1, 10); // 40 of others, 10 bytes each as a rule
    await partitionChoice.choose(STREAM);
    expect(asked).toEqual([]);
    for (let round = 0; round < 70; round++) partitionChoice.pushed(p, 90, 90, 450 * 90); // all are large now
    partitionChoice.pushed(p, 1, 1, 10);
    partitionChoice.pushed({ ...p, index: 1 }, 42, 1, 10);
    await partitionChoice.choose(STREAM);
    expect(asked).toEqual([1]);
  });

  test("forgets what came before the latest thousands, however many came", async () => {
    const { partitionChoice, asked } = made();
    const p = { stream: STREAM, index: 0 };
    for (let round = 0; round < 200; round++) partitionChoice.pushed(p, 90, 90, 900);
    for (let round = 0; round < 70; round++) partitionChoice.pushed(p, 90, 90, 450 * 90);
    partitionChoice.pushed(p, 1, 1, 10);
    partitionChoice.pushed({ ...p, index: 1 }, 3, 1, 10); // 2 of others: 900 bytes, like the latest
    await partitionChoice.choose(STREAM);
    expect(asked).toEqual([1]);
  });

  test("takes a push of many thousands for as many of its mean size", async () => {
    const { partitionChoice, asked, turn } = made();
    const p = { stream: STREAM, index: 0 };
    partitionChoice.pushed(p, 10_000, 10_000, 100_000);
    partitionChoice.pushed({ ...p, index: 1 }, 41, 1, 10); // 40 of others: 400 bytes
    for (let i = 0; i < 3; i++) {
      await partitionChoice.choose(STREAM);
      turn(1000);
    }
    expect(asked).toEqual([0]);
  });

  test("is checked again before a list is said to be deep that others filled again", async () => {
    const { push, pushOther, said, asked, drain } = made();
    for (let i = 0; i < 6; i++) await push();
    drain(0);
    pushOther(0, ...Array(4).fill(100));
    await push();
    expect([said, asked]).toEqual([["buffer.deep"], []]);
    await push();
    expect([said, asked]).toEqual([["buffer.deep", "buffer.deep"], [0]]);
  });

  test("sees large ones of others behind its own small ones", async () => {
    const { push, pushOther, said, asked, turn } = made();
    for (let i = 0; i < 4; i++) await push(STREAM, 100);
    pushOther(0, ...Array(4).fill(300));
    await push(STREAM, 100); // 900 by estimate, 1,700 in fact
    expect([said, asked]).toEqual([["buffer.deep"], []]);
    await push(STREAM, 100);
    turn(1000);
    await push(STREAM, 100);
    expect(asked).toEqual([0]);
    expect(await push(STREAM, 100)).toBe(1);
  });

  test("of one stream says nothing of another", async () => {
    const { push, asked } = made();
    for (let i = 0; i < 2; i++) await push("leads", 900);
    for (let i = 0; i < 49; i++) expect(await push(STREAM, 10)).toBe(0);
    expect(asked).toEqual([]);
  });

  test("begins anew when the depth says that the list was drained", async () => {
    const { push, pushOther, drain, asked } = made();
    await push(STREAM, 900);
    drain(0);
    for (let i = 0; i < 30; i++) expect(await push(STREAM, 10)).toBe(0);
    drain(0);
    for (let round = 0; round < 20; round++) {
      pushOther(0, 100);
      for (let i = 0; i < 3; i++) expect(await push()).toBe(0);
      drain(0);
    }
    expect(asked).toEqual([]);
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
      const { push, bytesIn, drain, turn } = made();
      for (const one of steps) {
        if (one === "push") {
          const partition = await push();
          if (partition !== undefined) expect([0, 1, 2]).toContain(partition);
        } else if ("drained" in one) drain(one.drained);
        else turn(one.turnedMs);
        for (const index of [0, 1, 2]) expect(bytesIn(index)).toBeLessThanOrEqual(1000);
      }
    }),
  );
});
