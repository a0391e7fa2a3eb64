/** The rate of a key over HTTP, on real servers: what is answered, what it costs, and what happens while Redis is away. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { runLoad } from "../../dev/load/load.ts";
import type { Fault } from "../../dev/stack/breakable-server.ts";
import { ThrottledKeys } from "../../lib/access/throttled-keys.ts";
import { type KeyCommands, serveKeyCommands } from "./key-commands.ts";
import { type Answer, type Ingest, type Overrides, serveIngest } from "./test-ingest.ts";
import { expectConserved, openWorld, type World } from "./test-stack.ts";

let world: World;
let keys: KeyCommands;
let made = 0;
beforeAll(async () => {
  world = await openWorld();
  keys = await serveKeyCommands(world);
});
beforeEach(() => world.reset());
afterAll(async () => {
  await keys.close();
  await world.close();
});

/** Makes a key of a new name. */
const limitedKey = (eventsPerSecond: number) => keys.create(`limited-${made++}`, { eventsPerSecond });

async function withIngest(run: (one: Ingest) => Promise<void>, overrides: Overrides = {}): Promise<void> {
  const one = await serveIngest(world, overrides);
  try {
    await run(one);
  } finally {
    await one.close();
  }
}

const events = (count: number) => Array.from({ length: count }, (_, n) => ({ n }));
const idsOf = (answers: readonly Answer[]): string[] => answers.flatMap(({ body }) => body.ids ?? []);
const post = (one: Ingest, key: string, count = 1) => one.post("checked", events(count), { key });

/** Breaks the calls for shares, and no other command. */
const breakShares = (fault: Fault | undefined) =>
  world.upstash.setFault(({ commands }) => (isOfShares(commands) ? fault : undefined));
const isOfShares = (commands: readonly string[][]) =>
  commands.some((command) => command.join().includes("}:key-rate:"));

describe("what is answered", () => {
  test("a key that gets 429 is said in the log, with its name", async () => {
    const key = await limitedKey(10);
    const throttled = new ThrottledKeys({ monotonicMs: () => performance.now(), log: world.log });
    await withIngest(
      async (one) => {
        const answers: Answer[] = [];
        do answers.push(await post(one, key, 10));
        while (answers.at(-1)?.status === 202);
        expect(answers.at(-1)?.status).toBe(429);
        expect(world.said.filter(({ event }) => event === "key.throttled")).toEqual([
          { event: "key.throttled", fields: { key: expect.stringMatching(/^limited-/), requests: 1 } },
        ]);
        await expectConserved(world, "checked", idsOf(answers));
      },
      { records: { throttled } },
    );
  });

  test("a key may send the tokens of five seconds at once, is refused after that, and another key is not", async () => {
    const [key, other] = [await limitedKey(10), await limitedKey(10)];
    await withIngest(async (one) => {
      const answers: Answer[] = [];
      do answers.push(await post(one, key, 10));
      while (answers.at(-1)?.status === 202);
      const refused = answers.at(-1) as Answer;
      answers.push(await post(one, other));
      expect(answers.map(({ status }) => status).slice(0, 5)).toEqual([202, 202, 202, 202, 202]);
      expect([refused.status, answers.at(-1)?.status]).toEqual([429, 202]);
      expect(refused.body).toMatchObject({ code: "rate-limited" });
      expect(Number(refused.headers.get("retry-after"))).toBeGreaterThan(0);
      expect(refused.headers.get("ratelimit-policy")).toBe('"key";q=50;w=5');
      expect(refused.headers.get("ratelimit")).toMatch(/^"key";r=0;t=\d+$/);
      expect(answers[0]?.headers.get("ratelimit-policy")).toBe('"key";q=50;w=5');
      expect(answers[0]?.headers.get("ratelimit")).toMatch(/^"key";r=\d+;t=[1-5]$/);
      await expectConserved(world, "checked", idsOf(answers));
    });
  });

  test("a key in debt is refused before its body is read", async () => {
    const key = await limitedKey(1);
    await withIngest(async (one) => {
      const kept = await post(one, key, 5);
      const { status } = await one.postRaw("checked", "application/json", "{ this is no JSON", { key });
      expect([kept.status, status]).toEqual([202, 429]);
      await expectConserved(world, "checked", idsOf([kept]));
    });
  });

  test("a request of more than a minute's worth is 413: it never passes", async () => {
    const key = await limitedKey(2);
    await withIngest(async (one) => {
      const { status, body } = await post(one, key, 121);
      expect({ status, body }).toMatchObject({ status: 413, body: { code: "too-many-events" } });
      expect(body.detail).toContain("at most 120");
      await expectConserved(world, "checked", []);
    });
  });

  test("a request of 1,000 events passes at a rate of 50 a second, if the last minute has room for it", async () => {
    const key = await limitedKey(50);
    await withIngest(async (one) => {
      const answers = [await post(one, key, 1000), await post(one, key)];
      expect(answers.map(({ status }) => status)).toEqual([202, 429]);
      await expectConserved(world, "checked", idsOf(answers));
    });
  });

  test("a look-up costs a token for each id, and at most what a request may ever cost", async () => {
    const key = await limitedKey(1);
    await withIngest(async (one) => {
      const ids = Array.from({ length: 100 }, (_, i) => `id-${i}`);
      const asked = await one.whereAll("checked", ids, key);
      const refused = await one.where("checked", "id-1", key);
      expect([asked.status, refused.status]).toEqual([200, 429]);
      expect(refused.headers.get("ratelimit-policy")).toBe('"key";q=5;w=5');
    });
  });

  test("two instances share it: nothing is left for the second", async () => {
    const key = await limitedKey(10);
    await withIngest(async (one) => {
      await withIngest(async (other) => {
        const answers = [await post(one, key, 50), await post(other, key, 20)];
        expect(answers.map(({ status }) => status)).toEqual([202, 429]);
        await expectConserved(world, "checked", idsOf(answers));
      });
    });
  });
});

describe("what it costs", () => {
  test("nothing, for a key without a rate", async () => {
    const key = await keys.create("plain");
    await withIngest(async (one) => {
      const seen: string[][] = [];
      world.upstash.setFault(({ commands }) => {
        if (isOfShares(commands)) seen.push(...commands);
        return undefined;
      });
      const answers = [await post(one, key), await post(one, key)];
      expect(seen).toEqual([]);
      expect(answers[0]?.headers.get("ratelimit")).toBeNull();
      await expectConserved(world, "checked", idsOf(answers));
    });
  });

  test("at 64 connections at most 0.05 Redis commands an event, the limiter's own counted", async () => {
    const apiKey = await limitedKey(100_000);
    await withIngest(async ({ url }) => {
      const shares: number[] = [];
      world.upstash.setFault(({ commands }) => {
        if (isOfShares(commands)) shares.push(performance.now());
        return undefined;
      });
      const port = Number(new URL(url).port);
      const before = await world.upstash.billedCommands();
      const load = await runLoad({ port, apiKey, kind: "gps", phases: [{ seconds: 7 }], warmupSeconds: 0 });
      const commands = (await world.upstash.billedCommands()) - before;
      expect(load.errors).toBe(0);
      expect(commands / load.ids.length).toBeLessThanOrEqual(0.05);
      expect(shares.length).toBeGreaterThanOrEqual(3); // the first, once its demand is known, after five seconds
      const calls = shares.filter((atMs) => atMs > (shares[0] ?? 0) + 1500);
      expect(calls.length).toBeLessThanOrEqual(2);
      await expectConserved(world, "locations", load.ids);
    });
  });
});

describe("Redis and the shares", () => {
  test("away: the last share goes on; a key that never had one has its whole rate", async () => {
    let nowMs = 1000;
    const [key, fresh] = [await limitedKey(20), await limitedKey(20)];
    await withIngest(
      async (one) => {
        const answers = [await post(one, key, 20), await post(one, fresh, 0)];
        breakShares({ kind: "refuse" });
        nowMs += 60_000;
        for (const count of [100, 1, 1]) answers.push(await post(one, key, count));
        answers.push(await post(one, fresh, 100));
        nowMs += 1000;
        answers.push(await post(one, key, 20), await post(one, key, 1));
        expect(answers.map(({ status }) => status)).toEqual([202, 400, 202, 429, 429, 202, 202, 429]);
        expect(world.said.filter(({ event }) => event === "limits.unshared").length).toBe(1);
        world.upstash.setFault(undefined);
        nowMs += 5000;
        answers.push(await post(one, key));
        expect(answers.at(-1)?.status).toBe(202);
        await expectConserved(world, "checked", idsOf(answers));
      },
      { ratesMonotonicMs: () => nowMs },
    );
  });

  test("it hangs: no request with a share waits for the call that asks for the next one", async () => {
    let nowMs = 1000;
    const key = await limitedKey(100);
    await withIngest(
      async (one) => {
        const answers = [await post(one, key)];
        breakShares({ kind: "hang" });
        nowMs += 1500; // its demand is known: it is asked for, and the share lasts
        answers.push(await post(one, key), await post(one, key));
        expect(answers.map(({ status }) => status)).toEqual([202, 202, 202]);
        expect(world.said).not.toContainEqual(expect.objectContaining({ event: "limits.unshared" }));
        await expectConserved(world, "checked", idsOf(answers));
      },
      { ratesMonotonicMs: () => nowMs, sharesTimeoutMs: 30_000 },
    );
  });

  test("a reply is lost: the next call takes the place of the one that was run", async () => {
    let nowMs = 1000;
    const key = await limitedKey(10);
    await withIngest(
      async (one) => {
        const answers = [await post(one, key, 10)];
        breakShares({ kind: "cut-after" });
        nowMs += 6500;
        answers.push(await post(one, key, 10));
        breakShares(undefined);
        nowMs += 6500;
        for (let i = 0; i < 20; i++) answers.push(await post(one, key, 10));
        expect(idsOf(answers).length).toBeLessThanOrEqual(50 + 50 + 20);
        await expectConserved(world, "checked", idsOf(answers));
      },
      { ratesMonotonicMs: () => nowMs },
    );
  });

  test("it lost what it knew, or has another type in its place: shares are given anew", async () => {
    const key = await limitedKey(10);
    await withIngest(async (one) => {
      const answers = [await post(one, key, 50)];
      const [name = ""] = await world.redis.keys("{spillway}:key-rate:*");
      await world.redis.del(name);
      await world.redis.lpush(name, "nonsense");
      await withIngest(async (other) => {
        answers.push(await post(other, key, 50));
      });
      expect(answers.map(({ status }) => status)).toEqual([202, 202]);
      await expectConserved(world, "checked", idsOf(answers));
    });
  });
});
