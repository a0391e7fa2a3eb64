/** Work in turns, with a clock that only the work's own steps move. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { CpuTurns } from "../../lib/flow/cpu-turns.ts";

let nowMs = 0;
let log: string[] = [];
let turns: CpuTurns;
beforeEach(() => {
  nowMs = 0;
  log = [];
  turns = new CpuTurns(() => nowMs);
});

afterEach(() => void vi.useRealTimers());

/** Work of so many steps, each of which takes so long. */
function* steps(name: string, count: number, ms: number): Generator<void> {
  for (let i = 0; i < count; i++) {
    nowMs += ms;
    log.push(name);
    yield;
  }
}
const stepOf = (steps: Generator<void>) => () => !steps.next().done;
const run = (name: string, count: number, ms: number) =>
  turns.run({ spentMs: 0 }, stepOf(steps(name, count, ms)));
/** Everything else that an event loop does in a turn. */
const nextTurn = async () => {
  await new Promise((resolve) => setImmediate(resolve));
  log.push("|");
};

test("work that is short runs at once", () => {
  expect(run("a", 3, 1)).toBeUndefined();
  expect(log.join("")).toBe("aaa");
});

test("work that is long lets everything else have its turn every five milliseconds", async () => {
  const waiting = run("a", 12, 1);
  expect(log.join("")).toBe("aaaaa");
  for (let i = 0; i < 3; i++) await nextTurn();
  await waiting;
  expect(log.join("").replace(/^a{5}\|?/, "")).toMatch(/^\|?a{5}\|a{2}\|*$/);
});

test("all work together has the time of one", async () => {
  const waiting = ["a", "b", "c", "d"].map((name) => run(name, 2, 2));
  expect(log).toHaveLength(3); // 6 ms: the step in which the time ends is done
  log.push("|");
  await nextTurn();
  await nextTurn();
  await Promise.all(waiting);
  expect(log.filter((one) => one !== "|")).toHaveLength(8);
  for (const turn of log.join("").split("|")) expect(turn.length).toBeLessThanOrEqual(3);
});

test("a turn's time is shared by as many as fit", async () => {
  const long = run("L", 5, 1);
  const short = Array.from({ length: 10 }, () => run("s", 1, 1));
  log.push("|");
  await nextTurn();
  await nextTurn();
  await Promise.all([long, ...short]);
  const used = log.join("").split("|");
  expect(used.map((turn) => turn.length).filter((length) => length > 0)).toEqual([5, 5, 5]);
});

test("who has used least goes first, but not for ever", async () => {
  const large = run("L", 100, 5);
  let isDone = false;
  const ending = Promise.resolve(large).then(() => {
    isDone = true;
  });
  const small: (Promise<void> | undefined)[] = [];
  for (let i = 0; i < 40; i++) {
    small.push(run("s", 1, 5), run("s", 1, 5)); // more than there is time for
    await nextTurn();
  }
  const ran = log.filter((one) => one === "L").length;
  expect(ran).toBeGreaterThan(2);
  expect(ran).toBeLessThan(20);
  while (!isDone) await nextTurn();
  await Promise.all([ending, ...small]);
});

test("what work has used counts in its next turns", async () => {
  const all = Promise.all([run("L", 2, 20), run("s", 2, 5), run("t", 1, 5)]);
  while (log.filter((one) => one !== "|").length < 5) await nextTurn();
  await all;
  expect(log.filter((one) => one !== "|").join("")).toBe("LstsL"); // L has used 20 ms, s 5 at most
});

test("an error of the work is the caller's, and the others go on", async () => {
  function* failing(): Generator<void> {
    yield;
    throw new Error("no");
  }
  expect(() => turns.run({ spentMs: 0 }, stepOf(failing()))).toThrow("no");
  const long = run("a", 6, 1);
  const waiting = turns.run({ spentMs: 0 }, stepOf(failing()));
  await expect(waiting).rejects.toThrow("no");
  await long;
  expect(log.filter((one) => one === "a")).toHaveLength(6);
});

test("while nobody waits, time that passes without work is time for the next", () => {
  expect(run("a", 4, 1)).toBeUndefined();
  nowMs += 3;
  expect(run("b", 3, 1)).toBeUndefined();
  expect(run("c", 3, 1)).toBeInstanceOf(Promise);
});

/** Small work, which makes turns short from now on. */
const doSmall = (name = "small") => {
  const small = { spentMs: 0 };
  const waiting = turns.run(small, stepOf(steps(name, 1, 0.2)));
  turns.end(small);
  return waiting;
};
const countOf = (name: string) => log.filter((one) => one === name).length;

test("while small work comes, turns are short: each request passes through several", async () => {
  doSmall();
  const waiting = Promise.all(["x", "y", "z"].map((name) => run(name, 2, 1)));
  expect(countOf("x") + countOf("y") + countOf("z")).toBe(1);
  await nextTurn();
  expect(countOf("x") + countOf("y") + countOf("z")).toBeLessThanOrEqual(2);
  await waiting;
  expect([countOf("x"), countOf("y"), countOf("z")]).toEqual([2, 2, 2]);
});

test("while small work comes, one or two large ones rest between their turns, and small work runs at once", async () => {
  vi.useFakeTimers({ toFake: ["setTimeout"] });
  doSmall();
  const waiting = Promise.all([run("x", 9, 1), run("y", 9, 1)]);
  for (let rests = 0; rests < 4; rests++) {
    const before = countOf("x") + countOf("y");
    for (let i = 0; i < 5; i++) await nextTurn();
    expect(countOf("x") + countOf("y")).toBe(before);
    nowMs += 1;
    expect(doSmall(`s${rests}`)).toBeUndefined();
    expect(countOf(`s${rests}`)).toBe(1);
    expect(countOf("x") + countOf("y")).toBe(before);
    await vi.advanceTimersByTimeAsync(1);
    expect(countOf("x") + countOf("y")).toBe(before + 1);
  }
  for (let rests = 0; countOf("x") + countOf("y") < 18 && rests < 40; rests++)
    await vi.advanceTimersByTimeAsync(1);
  await vi.advanceTimersByTimeAsync(1);
  await waiting;
  expect([countOf("x"), countOf("y")]).toEqual([9, 9]);
});

test("large work that ends does not make turns short", () => {
  const large = { spentMs: 0 };
  turns.run(large, stepOf(steps("l", 1, 2)));
  turns.end(large);
  nowMs += 10; // the turn's time fills up
  void run("x", 12, 1);
  expect(countOf("x")).toBe(5);
});
