/** The breaker on Redis, by a clock that the test turns. */
import { describe, expect, test } from "vitest";
import { Breaker } from "../../lib/flow/breaker.ts";
import type { Log } from "../../lib/log.ts";

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
