/**
 * A process that dies at any await. Every call of an adapter is an await on the outside, so the adapters are
 * wrapped whole: the n-th call of a run never returns, once before its effect and once after it, for n = 1, 2, …
 * until a run ends by itself. Nothing is listed by hand; an await that is added later is found.
 */

import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { leaseKey } from "../../lib/buffer/redis-keys.ts";
import { drain } from "../../lib/drain/drain.ts";
import { deadlineIn } from "../../lib/flow/deadline.ts";
import { accept } from "../../lib/ingest/accept.ts";
import { Admitting } from "../../lib/ingest/admit.ts";
import { noFlush } from "../../lib/ingest/eager-flush.ts";
import { PartitionChoice } from "../../lib/ingest/partition-choice.ts";
import { createPusher } from "../../lib/ingest/push.ts";
import { createWriteThrough } from "../../lib/ingest/write-through.ts";
import { encodeEnvelope } from "../../lib/schema/envelope.ts";
import { envelopeOf, expectConserved, openWorld, type World } from "./test-stack.ts";

let world: World;
beforeAll(async () => {
  world = await openWorld();
});
beforeEach(() => world.reset());
afterAll(() => world.close());

/** A place to die: the n-th await, before or after its effect. */
interface Place {
  nth: number;
  when: "before" | "after";
}

/** Wraps adapters so that the process dies at one place; `death` resolves when it has. */
function mortal({ nth, when }: Place) {
  let calls = 0;
  let die = () => {};
  const death = new Promise<"died">((resolve) => {
    die = () => resolve("died");
  });
  const never = new Promise<never>(() => {});
  const wrap = <Adapter extends object>(adapter: Adapter): Adapter =>
    new Proxy(adapter, {
      get(target, property) {
        const method: unknown = Reflect.get(target, property);
        if (typeof method !== "function") return method;
        return async (...args: unknown[]) => {
          calls += 1;
          if (calls > nth) return never; // the dead do nothing more
          if (calls < nth) return method(...args);
          if (when === "after") await Promise.resolve(method(...args)).catch(() => {});
          die();
          return never;
        };
      },
    });
  return { wrap, death };
}

/** Runs `life` once for every place to die, until it ends by itself; returns in how many it died. */
async function everyDeath(life: (place: Place) => Promise<"died" | "lived">): Promise<number> {
  let deaths = 0;
  for (const when of ["before", "after"] as const)
    for (let nth = 1; ; nth++) {
      if (nth > 200) throw new Error("expected a run to end within 200 awaits");
      if ((await life({ nth, when })) === "lived") break;
      deaths += 1;
    }
  return deaths;
}

describe("wherever a drain call dies", () => {
  test("each acknowledged event is stored once or is a dead letter, after the next drain", async () => {
    const deaths = await everyDeath(async (place) => {
      await world.reset();
      const p = { stream: "checked", index: 1 };
      const made = Array.from({ length: 23 }, (_, i) => envelopeOf({ n: i === 7 ? -1 : i + 1 }));
      await world.buffer.push(
        p,
        made.map(({ envelope }) => envelope),
      );
      const { wrap, death } = mortal(place);
      const context = world.supervisor({
        buffer: wrap(world.buffer),
        store: wrap(world.store),
        batchMaxRows: 10,
      });
      const fate = await Promise.race([
        death,
        drain(context, { stream: "checked" }).then(() => "lived" as const),
      ]);
      await world.redis.del(leaseKey(p)); // its lease has run out
      await drain(world.supervisor(), { stream: "checked" });
      await expectConserved(
        world,
        "checked",
        made.map(({ id }) => id),
      );
      expect(await world.redis.keys("*:[0-9]*")).toEqual([]);
      return fate;
    });
    expect(deaths).toBeGreaterThan(20);
  });
});

describe("wherever an ingest instance dies", () => {
  /** One instance: what it answered is what counts. */
  async function post(place: Place, ack: "buffered" | "stored") {
    const { wrap, death } = mortal(place);
    const buffer = wrap(world.buffer);
    const stream = world.streams.get("checked");
    if (stream === undefined) throw new Error("expected the stream checked");
    const { log } = world;
    const partitionChoice = new PartitionChoice({
      partitions: 4,
      bufferMaxBytes: 1_000_000,
      moveOnAtDepth: 1000,
      measure: buffer.measure,
      monotonicMs: () => performance.now(),
      log,
    });
    const { push } = createPusher({
      buffer,
      partitionChoice,
      flush: noFlush,
      flushThreshold: 100,
      monotonicMs: () => performance.now(),
      log,
    });
    const admitting = new Admitting({
      ...{ stream, keyName: "tester", idempotencyKey: randomUUID(), eventMaxBytes: 10_000 },
      ...{ receivedAt: new Date().toISOString(), isPacked: ack === "buffered" },
    });
    for (let n = 1; n <= 5; n++) admitting.add({ value: { n }, needsDeepCheck: false });
    const { admission } = admitting;
    const writeThrough = createWriteThrough(wrap(world.store), 2);
    const answer = accept(
      { push, writeThrough, setAside: async () => new Set<string>() },
      stream,
      ack,
      admission.envelopes,
      deadlineIn(60_000),
    );
    const fate = await Promise.race([death, answer.then(() => "lived" as const)]);
    return { fate, admission, stream };
  }

  test.each(["buffered", "stored"] as const)(
    "ack=%s: what was answered is kept, and a retry with the same ids stores each once",
    async (ack) => {
      const deaths = await everyDeath(async (place) => {
        await world.reset();
        const { fate, admission, stream } = await post(place, ack);
        if (fate === "died")
          await world.buffer.push({ stream: stream.name, index: 0 }, admission.envelopes.map(encodeEnvelope)); // the sender tries again elsewhere
        await drain(world.supervisor(), { stream: "checked" });
        await expectConserved(
          world,
          "checked",
          admission.envelopes.map(({ id }) => id),
        );
        return fate;
      });
      expect(deaths).toBeGreaterThan(0);
    },
  );
});
