import { expect, test } from "vitest";
import { GroupCommit, Overloaded } from "../../lib/flow/group-commit.ts";

const LIMITS = { maxCount: 3, maxBytes: 100, maxWaitingBytes: 1000, concurrency: 1 };

/** A commit that waits until it is told how to end. */
function gated() {
  const commits: { items: number[]; end: (result?: string) => void; fail: (error: Error) => void }[] = [];
  const commit = (items: number[]) =>
    new Promise<string>((resolve, reject) => {
      commits.push({ items, end: (result = "ok") => resolve(result), fail: reject });
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
