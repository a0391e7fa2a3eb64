/** Slots: who gets the next one, and what a blocked queue may have. */
import { setImmediate as settled } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { FairSlots } from "../../lib/flow/fair-slots.ts";

/** Slots, and the runs that were begun on them: their names in the order of their starts, and how to end each. */
function made(count: number) {
  const slots = new FairSlots(count);
  const started: string[] = [];
  const underWay: { queue: string; end(isBlocked: boolean | undefined): void }[] = [];
  /** Begins runs; returns their results, once they have them. */
  const begin = (...queues: string[]) =>
    queues.map((queue) =>
      slots.run(queue, () => {
        started.push(queue);
        return new Promise<{ isBlocked: boolean | undefined }>((resolve) => {
          underWay.push({ queue, end: (isBlocked) => resolve({ isBlocked }) });
        });
      }),
    );
  /** Ends the queue's oldest run, and lets everything that follows from it happen. */
  const end = async (queue: string, isBlocked: boolean | "unknown" = false) => {
    await settled();
    const index = underWay.findIndex((one) => one.queue === queue);
    if (index < 0) throw new Error(`expected a run of ${queue}, got none`);
    underWay.splice(index, 1)[0]?.end(isBlocked === "unknown" ? undefined : isBlocked);
    await settled();
  };
  /** The names of the runs under way. */
  const running = async () => {
    await settled();
    return underWay.map(({ queue }) => queue).sort();
  };
  /** A queue that is on probation, with nothing under way. */
  const block = async (queue: string) => {
    const run = begin(queue);
    await end(queue, true);
    await Promise.all(run);
    started.length = 0;
  };
  return { slots, started, begin, end, running, block };
}

describe("slots are shared fairly", () => {
  test("round robin among equals, so a busy queue starves none", async () => {
    const { started, begin, end } = made(1);
    begin("busy", "busy", "busy", "quiet", "other");
    await end("busy");
    await end("quiet");
    await end("other");
    await end("busy");
    expect(started).toEqual(["busy", "quiet", "other", "busy", "busy"]);
  });

  test("a free slot goes to the queue with the fewest runs under way", async () => {
    const { begin, end, running } = made(3);
    begin("a", "a", "a", "a");
    expect(await running()).toEqual(["a", "a", "a"]);
    begin("b", "b");
    await end("a");
    expect(await running()).toEqual(["a", "a", "b"]);
    begin("c");
    await end("b");
    expect(await running()).toEqual(["a", "a", "c"]); // the turn of c, which came last and had none yet
    await end("a");
    expect(await running()).toEqual(["a", "b", "c"]);
  });

  test("of queues that come at one moment each gets its share, whichever asked first", async () => {
    const { begin, end, running } = made(2);
    begin("hangs", "hangs", "hangs", "quick", "quick", "quick");
    for (let i = 0; i < 3; i++) {
      expect(await running()).toEqual(["hangs", "quick"]);
      await end("quick");
    }
    expect(await running()).toEqual(["hangs", "hangs"]);
  });

  test("one queue alone gets every slot", async () => {
    const { begin, running } = made(3);
    begin("a", "a", "a", "a");
    expect(await running()).toEqual(["a", "a", "a"]);
  });

  test("a slot comes back when the work fails", async () => {
    const { slots } = made(1);
    await expect(slots.run("a", () => Promise.reject(new Error("no")))).rejects.toThrow("no");
    expect(await slots.run("a", async () => ({ isBlocked: false, n: 1 }))).toMatchObject({ n: 1 });
  });
});

describe("a blocked queue is on probation", () => {
  test("it has one run at a time, and that run takes no slot from the others", async () => {
    const { begin, running, block } = made(2);
    await block("locked");
    begin("locked", "locked", "locked", "a", "b", "a");
    expect(await running()).toEqual(["a", "b", "locked"]);
  });

  test("the bound: the slots, and one for each blocked queue", async () => {
    const { begin, running, block } = made(2);
    for (const queue of ["x", "y", "z"]) await block(queue);
    begin(...["x", "y", "z", "a", "b", "c"].flatMap((queue) => [queue, queue, queue]));
    expect(await running()).toEqual(["a", "b", "x", "y", "z"]);
  });

  test("runs that waited for one that ended blocked are not run, and the next that comes is", async () => {
    const { started, begin, end, running, block } = made(2);
    await block("locked");
    const runs = begin("locked", "locked", "locked");
    await end("locked", true);
    expect(await Promise.all(runs)).toEqual([{ isBlocked: true }, "blocked", "blocked"]);
    expect(started).toEqual(["locked"]);
    begin("locked", "locked");
    expect(await running()).toEqual(["locked"]);
  });

  test("a run that ends well makes it normal again", async () => {
    const { begin, end, running, block } = made(2);
    await block("locked");
    begin("locked", "locked", "locked", "locked", "a");
    await end("locked");
    expect(await running()).toEqual(["a", "locked"]);
    await end("a");
    expect(await running()).toEqual(["locked", "locked"]);
  });

  test("a run that says nothing changes nothing: the next one is on probation", async () => {
    const { begin, end, running, block } = made(2);
    await block("locked");
    const runs = begin("locked", "locked", "locked");
    await end("locked", "unknown");
    expect(await running()).toEqual(["locked"]);
    await end("locked", "unknown");
    await end("locked");
    expect(await Promise.all(runs)).not.toContain("blocked"); // each had its turn
  });

  test("if only the work that comes first hangs, the others are run nonetheless", async () => {
    const slots = new FairSlots(1);
    const done = new Set<string>();
    const work = (name: string) => async () => {
      if (name !== "hangs") done.add(name);
      return { isBlocked: name === "hangs" };
    };
    await slots.run("q", work("hangs"));
    for (let calls = 0; calls < 6; calls++) {
      const names = ["hangs", "a", "b", "c"].filter((name) => !done.has(name));
      await Promise.all(names.map((name) => slots.run("q", work(name))));
    }
    expect([...done].sort()).toEqual(["a", "b", "c"]);
  });

  test("a run on probation that throws is over, too", async () => {
    const { slots, begin, running, block } = made(1);
    await block("locked");
    await expect(slots.run("locked", () => Promise.reject(new Error("no")))).rejects.toThrow("no");
    begin("locked", "locked", "a");
    expect(await running()).toEqual(["a", "locked"]);
  });

  test("runs that wait when it is first blocked are tried, one at a time, once those with a slot have ended", async () => {
    const { begin, end, running } = made(2);
    const runs = begin("locked", "locked", "locked", "locked");
    await end("locked", true);
    expect(await running()).toEqual(["locked"]); // it holds a slot
    begin("a", "a");
    expect(await running()).toEqual(["a", "locked"]);
    await end("locked", true);
    expect(await running()).toEqual(["a", "a", "locked"]); // on probation
    await end("locked", true);
    expect(await Promise.all(runs)).toEqual([...Array(3).fill({ isBlocked: true }), "blocked"]);
  });
});
