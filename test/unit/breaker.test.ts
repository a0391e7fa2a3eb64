/** The breaker, by a clock that the test turns. */
import { describe, expect, test } from "vitest";
import { Breaker, type Verdict } from "../../lib/flow/breaker.ts";
import type { Log } from "../../lib/log.ts";

/** The error of a run that ended so. */
class Ended extends Error {
  readonly verdict: Verdict;
  constructor(verdict: Verdict) {
    super(verdict);
    this.verdict = verdict;
  }
}

describe("the breaker", () => {
  const made = () => {
    const said: string[] = [];
    let nowMs = 0;
    const say = (event: string) => void said.push(event);
    const log: Log = { debug: say, info: say, warn: say, error: say };
    const verdictOf = (error: unknown) => (error as Ended).verdict;
    const breaker = new Breaker({ monotonicMs: () => nowMs, log, verdictOf });
    /** Runs work that fails so, or that succeeds. Returns "ran" or "open". */
    const run = async (verdict?: Verdict): Promise<"ran" | "open"> => {
      const work = async () => {
        if (verdict !== undefined) throw new Ended(verdict);
        return "ran" as const;
      };
      return breaker.run(work).catch((error: unknown) => {
        expect(error).toBeInstanceOf(Ended); // the run's own error
        return "ran";
      });
    };
    /** A run that ends when it is told to. */
    const begin = () => {
      let end = (_verdict?: Verdict): void => {};
      const work = new Promise<void>((resolve, reject) => {
        end = (verdict) => (verdict === undefined ? resolve() : reject(new Ended(verdict)));
      });
      const ended = breaker.run(() => work).catch(() => {});
      return async (verdict?: Verdict) => {
        end(verdict);
        await ended;
      };
    };
    const open = async () => {
      for (let i = 0; i < 3; i++) await run("silent");
    };
    return { said, breaker, run, begin, open, turn: (ms: number) => (nowMs += ms) };
  };

  test("returns what the work returns", async () => {
    expect(await made().breaker.run(async () => 5)).toBe(5);
  });

  test("opens at three failures in ten seconds, and closes after a good probe", async () => {
    const { said, run, turn } = made();
    await run("silent");
    await run("silent");
    expect(await run("silent")).toBe("ran");
    expect(await run()).toBe("open");
    turn(29_999);
    expect(await run()).toBe("open");
    turn(1);
    expect([await run(), await run()]).toEqual(["ran", "ran"]);
    expect(said).toEqual(["breaker.opened", "breaker.probed", "breaker.closed"]);
  });

  test("runs one probe at a time; nobody else waits for it", async () => {
    const { run, begin, open, turn } = made();
    await open();
    turn(30_000);
    const endProbe = begin();
    expect(await run()).toBe("open");
    await endProbe();
    expect(await run()).toBe("ran");
  });

  test("stays open for thirty seconds more after a bad probe", async () => {
    const { said, run, open, turn } = made();
    await open();
    turn(30_000);
    await run("silent");
    turn(29_999);
    expect(await run()).toBe("open");
    turn(1);
    expect(await run()).toBe("ran");
    expect(said).toEqual(["breaker.opened", "breaker.probed", "breaker.probed", "breaker.closed"]);
  });

  test("three failures spread over more than ten seconds leave it closed", async () => {
    const { run, turn } = made();
    for (let i = 0; i < 5; i++) {
      await run("silent");
      turn(5000);
    }
    expect(await run()).toBe("ran");
  });

  test("failures count from the last answer on, be it an error", async () => {
    for (const answer of [undefined, "answered"] as const) {
      const { run } = made();
      for (const verdict of ["silent", "silent", answer, "silent", "silent"] as const) await run(verdict);
      expect(await run()).toBe("ran");
    }
  });

  test("one refusal of everything opens it at once", async () => {
    const { said, run } = made();
    await run("refusing");
    expect(await run()).toBe("open");
    expect(said).toEqual(["breaker.opened"]);
  });

  test("an error that the server answered to a probe closes it", async () => {
    const { run, open, turn } = made();
    await open();
    turn(30_000);
    await run("answered");
    expect([await run(), await run()]).toEqual(["ran", "ran"]);
  });

  test("a probe that was shed leaves the breaker able to probe again, says nothing and counts as nothing", async () => {
    const { said, run, open, turn } = made();
    await open();
    turn(30_000);
    expect([await run("not-asked"), await run("not-asked")]).toEqual(["ran", "ran"]);
    expect(said).toEqual(["breaker.opened"]);
    expect(await run()).toBe("ran");
    expect(said).toEqual(["breaker.opened", "breaker.probed", "breaker.closed"]);
  });

  test("a probe whose error cannot be read is given back, too", async () => {
    const log: Log = { debug() {}, info() {}, warn() {}, error() {} };
    let nowMs = 0;
    const verdictOf = (error: unknown): Verdict => {
      if (error instanceof TypeError) throw error;
      return "refusing";
    };
    const breaker = new Breaker({ monotonicMs: () => nowMs, log, verdictOf });
    const failWith = (error: Error) => breaker.run(() => Promise.reject(error));
    await expect(failWith(new Error("no"))).rejects.toThrow("no");
    nowMs += 30_000;
    await expect(failWith(new TypeError("ours"))).rejects.toThrow("ours");
    expect(await breaker.run(async () => 1)).toBe(1);
  });

  test("a failure of a run that began before the breaker opened leaves the probe alone", async () => {
    const { run, begin, open, turn } = made();
    const endOld = begin();
    await open();
    turn(30_000);
    const endProbe = begin();
    await endOld("not-asked");
    expect(await run()).toBe("open"); // the probe is still under way
    await endProbe();
    expect(await run()).toBe("ran");
  });
});
