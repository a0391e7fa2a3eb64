import { afterEach, describe, expect, test, vi } from "vitest";
import { TooLate } from "../../lib/flow/deadline.ts";
import { GroupCommit, Overloaded, type Take } from "../../lib/flow/group-commit.ts";

const LIMITS = { maxCount: 3, maxBytes: 100, maxWaitingBytes: 1000, concurrency: 1 };

/** A commit that waits until it is told how to end. */
function gated() {
  const commits: { items: number[]; end: (result?: string) => void; fail: (error: Error) => void }[] = [];
  const commit = (take: Take<number>) =>
    new Promise<string>((resolve, reject) => {
      commits.push({ items: take(), end: (result = "ok") => resolve(result), fail: reject });
    });
  return { commits, commit };
}

const settled = () => new Promise((resolve) => setImmediate(resolve));

test("callers that come while a commit is on its way share the next one", async () => {
  const { commits, commit } = gated();
  const group = new GroupCommit(commit, LIMITS);
  const answers = [[1], [2], [3]].map((items) => group.add(items, 1));
  expect(commits.map(({ items }) => items)).toEqual([[1]]); // the first waits for nobody
  commits[0]?.end();
  await settled();
  expect(commits[1]?.items).toEqual([2, 3]);
  commits[1]?.end("second");
  expect(await Promise.all(answers)).toEqual([
    { result: "ok", offset: 0 },
    { result: "second", offset: 0 },
    { result: "second", offset: 1 },
  ]);
});

test("a group is capped by count and by bytes, but a large caller still goes", async () => {
  const { commits, commit } = gated();
  const group = new GroupCommit(commit, LIMITS);
  const answers = [
    group.add([0], 1),
    group.add([1, 2], 10),
    group.add([3, 4], 10),
    group.add([5, 6, 7, 8], 10),
    group.add([9], 99),
    group.add([10], 99),
  ];
  for (let i = 0; i < 6; i++) {
    commits[i]?.end();
    await settled();
  }
  await Promise.all(answers);
  expect(commits.map(({ items }) => items)).toEqual([[0], [1, 2], [3, 4], [5, 6, 7, 8], [9], [10]]);
});

test("a commit that fails fails each of its callers, once, and the next goes on", async () => {
  const { commits, commit } = gated();
  const group = new GroupCommit(commit, LIMITS);
  const answers = [[1], [2], [3]].map((items) => group.add(items, 1));
  const outcomes = Promise.allSettled([...answers]);
  commits[0]?.end();
  await settled();
  commits[1]?.fail(new Error("no"));
  await settled();
  const later = group.add([4], 1);
  commits[2]?.end();
  expect((await outcomes).map(({ status }) => status)).toEqual(["fulfilled", "rejected", "rejected"]);
  expect((await later).result).toBe("ok");
});

test("what waits is bounded", async () => {
  const { commits, commit } = gated();
  const group = new GroupCommit(commit, { ...LIMITS, maxWaitingBytes: 10 });
  const answers = [group.add([1], 1), group.add([2], 9)];
  await expect(group.add([3], 9)).rejects.toThrow(Overloaded);
  commits[0]?.end();
  await settled();
  commits[1]?.end();
  await Promise.all(answers);
});

describe("a caller's deadline", () => {
  afterEach(() => {
    vi.useRealTimers();
  });
  const startClock = () => {
    vi.useFakeTimers({ toFake: ["performance"], now: 0 });
    return performance.now();
  };

  test("who waits beyond it is not sent; the others of the group are, each with its own place", async () => {
    const startMs = startClock();
    const { commits, commit } = gated();
    const group = new GroupCommit(commit, LIMITS);
    const first = group.add([1], 1, startMs + 5); // under way: it goes on
    const late = group.add([2], 1, startMs + 10);
    const patient = [group.add([3], 1, startMs + 11), group.add([4], 1)];
    const isLate = expect(late).rejects.toThrow(TooLate);
    vi.advanceTimersByTime(10);
    commits[0]?.end();
    await settled();
    expect(commits[1]?.items).toEqual([3, 4]);
    commits[1]?.end();
    await isLate;
    expect((await first).offset).toBe(0);
    expect((await Promise.all(patient)).map(({ offset }) => offset)).toEqual([0, 1]);
  });

  test("a commit that has to wait itself takes who is not too late by then, and nobody if all are", async () => {
    const startMs = startClock();
    const turns: (() => void)[] = [];
    const sent: number[][] = [];
    const group = new GroupCommit(async (take: Take<number>) => {
      await new Promise<void>((resolve) => turns.push(resolve));
      sent.push(take());
    }, LIMITS);
    const answers = [group.add([1], 1), group.add([2], 1, startMs + 10), group.add([3], 1)];
    const alone = group.add([4, 5, 6], 1, startMs + 15);
    const stale = group.add([7, 8, 9], 1, startMs + 10); // too late before it is a group: it takes no turn
    const after = group.add([10], 1);
    const outcomes = Promise.allSettled([...answers, alone, stale, after]);
    turns.shift()?.();
    await settled();
    vi.advanceTimersByTime(10);
    turns.shift()?.();
    await settled();
    vi.advanceTimersByTime(10);
    turns.shift()?.();
    await settled();
    turns.shift()?.();
    await settled();
    expect(sent).toEqual([[1], [3], [10]]);
    expect((await outcomes).map((one) => (one.status === "rejected" ? one.reason.name : "sent"))).toEqual([
      ...["sent", "TooLate", "sent"],
      ...["TooLate", "TooLate", "sent"],
    ]);
  });

  test("who is too late takes no room from those who come, and need not come", async () => {
    const startMs = startClock();
    const { commits, commit } = gated();
    const group = new GroupCommit(commit, { ...LIMITS, maxWaitingBytes: 10 });
    const first = group.add([1], 1);
    const isLate = expect(group.add([2], 9, startMs + 10)).rejects.toThrow(TooLate);
    await expect(group.add([3], 9)).rejects.toThrow(Overloaded);
    vi.advanceTimersByTime(10);
    await expect(group.add([4], 9, startMs + 10)).rejects.toThrow(TooLate);
    const second = group.add([5], 9);
    await isLate;
    await expect(group.add([6], 9)).rejects.toThrow(Overloaded);
    commits[0]?.end();
    await settled();
    expect(commits[1]?.items).toEqual([5]);
    commits[1]?.end();
    await Promise.all([first, second]);
  });
});
