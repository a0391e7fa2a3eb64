import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { deadlineIn, isPast, waitUntil } from "../../lib/flow/deadline.ts";

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});
const never = new Promise<never>(() => {});

test("work is waited for until the deadline, by a clock that nobody sets", async () => {
  const deadlineAtMs = deadlineIn(100);
  const waiting = waitUntil(deadlineAtMs, never);
  vi.setSystemTime(Date.now() - 3_600_000);
  await vi.advanceTimersByTimeAsync(99);
  expect(isPast(deadlineAtMs)).toBe(false);
  await vi.advanceTimersByTimeAsync(1);
  expect(isPast(deadlineAtMs)).toBe(true);
  await vi.advanceTimersByTimeAsync(1); // the timer is never early
  expect(await waiting).toBe("late");
});

test("work that ends in time gives its result or its error, and leaves no timer", async () => {
  expect(await waitUntil(deadlineIn(100), Promise.resolve(1))).toBe(1);
  await expect(waitUntil(deadlineIn(100), Promise.reject(new Error("no")))).rejects.toThrow("no");
  expect(vi.getTimerCount()).toBe(0);
});

test("work that fails after the deadline fails nobody", async () => {
  let fail = (_error: Error) => {};
  const work = new Promise<never>((_, reject) => {
    fail = reject;
  });
  const waiting = waitUntil(deadlineIn(-1), work);
  await vi.advanceTimersByTimeAsync(2);
  expect(await waiting).toBe("late");
  fail(new Error("unheard"));
  await vi.advanceTimersByTimeAsync(1);
});
