/**
 * What each store promises. It needs no test runner, because it also runs in a browser: each promise is a function that throws if it is
 * broken.
 */
import type { Store, StoredEvent } from "../src/store.ts";

/** Two stores on one place, as two tabs or processes have them; the place is empty. */
export type OpenTwo = () => Promise<[Store, Store]> | [Store, Store];

const event = (key: string, more: Partial<StoredEvent> = {}): StoredEvent => ({
  ...{ key, stream: "s", id: `id of ${key}`, body: `{"n":"${key} ü 🦊\\u0000"}`, seenAt: 0 },
  ...more,
});
const many = (count: number) =>
  Array.from({ length: count }, (_, n) => event(`a.${String(n).padStart(6, "0")}`));

function expectEqual(got: unknown, expected: unknown): void {
  const [gotText, expectedText] = [JSON.stringify(got), JSON.stringify(expected)];
  if (gotText !== expectedText)
    throw new Error(`expected ${expectedText?.slice(0, 300)}, got ${gotText?.slice(0, 300)}`);
}
const keysOf = (events: readonly StoredEvent[]) => events.map(({ key }) => key).sort();
const queuesOf = async (store: Store) => [...(await store.queues())].sort(([a], [b]) => (a < b ? -1 : 1));

export const promises: Record<string, (open: OpenTwo) => Promise<void>> = {
  "an event that was put is taken over as it is, in order, and once": async (open) => {
    const [one, two] = await open();
    const events = [event("a.1", { ack: "stored", seenAt: 7 }), event("a.2")];
    await one.put("a", [events[0] as StoredEvent]);
    await one.put("a", [events[1] as StoredEvent]);
    await one.beat("a", "");
    expectEqual(await two.take("a", "", "b"), events);
    expectEqual(await two.take("a", "", "c"), []);
    await two.beat("b", "");
    expectEqual(await two.take("b", "", "d"), events);
  },
  "an event that was removed is gone, and removing it again changes nothing": async (open) => {
    const [one, two] = await open();
    await one.put("a", many(250));
    const gone = many(250).filter((_, n) => n !== 7 && n !== 200);
    await one.remove("a", keysOf(gone));
    await one.remove("a", ["a.000003", "never"]);
    await one.beat("a", "");
    expectEqual(keysOf(await two.take("a", "", "b")), ["a.000007", "a.000200"]);
  },
  "an event that is put again is there once, with what it became": async (open) => {
    const [one, two] = await open();
    await one.put("a", many(3));
    await one.put("a", [event("a.000001", { seenAt: 9 })]);
    await one.beat("a", "");
    const taken = await two.take("a", "", "b");
    expectEqual(keysOf(taken), keysOf(many(3)));
    expectEqual(
      taken.filter(({ seenAt }) => seenAt === 9).map(({ key }) => key),
      ["a.000001"],
    );
  },
  "a queue is taken over by the beat that was seen only": async (open) => {
    const [one, two] = await open();
    await one.put("a", [event("a.1")]);
    await one.beat("a", "1");
    expectEqual(await two.take("a", "0", "b"), []);
    expectEqual(await two.take("a", undefined, "b"), []);
    await one.beat("a", "2");
    expectEqual(await two.take("a", "1", "b"), []);
    expectEqual(keysOf(await two.take("a", "2", "b")), ["a.1"]);
  },
  "queues are listed while they have events or a beat": async (open) => {
    const [one, two] = await open();
    expectEqual(await queuesOf(two), []);
    await one.beat("a", "5");
    await one.put("a", [event("a.1")]);
    await one.beat("b", "");
    expectEqual(await queuesOf(one), [
      ["a", "5"],
      ["b", ""],
    ]);
    await one.remove("a", ["a.1"]);
    for (const [queue, beat] of await one.queues()) await one.take(queue, beat, "c");
    expectEqual(await queuesOf(one), []);
  },
  "of many that take a queue over, each event goes to one": async (open) => {
    const [one, two] = await open();
    await one.put("a", many(300));
    await one.beat("a", "");
    const taken = await Promise.all([one, two, one, two].map((store, n) => store.take("a", "", `t${n}`)));
    expectEqual(keysOf(taken.flat()), keysOf(many(300)));
  },
  "an owner that was thought gone loses nothing that it puts afterwards": async (open) => {
    const [one, two] = await open();
    await one.beat("a", "");
    await one.put("a", [event("a.1")]);
    expectEqual(keysOf(await two.take("a", "", "b")), ["a.1"]);
    await one.put("a", [event("a.2")]);
    await one.remove("a", ["a.1"]);
    await two.remove("b", ["a.1"]);
    await one.beat("a", "");
    expectEqual(keysOf(await two.take("a", "", "b")), ["a.2"]);
  },
  "what was taken over may be removed, put again and taken over again": async (open) => {
    const [one, two] = await open();
    await one.put("a", many(5));
    await one.beat("a", "");
    const taken = await two.take("a", "", "b");
    await two.remove("b", ["a.000000", "a.000001"]);
    await two.put("b", [{ ...(taken[2] as StoredEvent), seenAt: 3 }]);
    await two.beat("b", "");
    const again = await one.take("b", "", "c");
    expectEqual(keysOf(again), ["a.000002", "a.000003", "a.000004"]);
    expectEqual(again.find(({ key }) => key === "a.000002")?.seenAt, 3);
  },
  "a put that is not awaited is there when a later removal is": async (open) => {
    const [one, two] = await open();
    void one.put("a", many(50));
    await one.remove("a", keysOf(many(50)));
    await one.beat("a", "");
    expectEqual(await two.take("a", "", "b"), []);
  },
  "clear takes everything away, and the store goes on": async (open) => {
    const [one, two] = await open();
    await one.put("a", many(120));
    await two.put("b", [event("b.1")]);
    await one.clear();
    expectEqual(await queuesOf(two), []);
    await one.put("a", [event("a.9")]);
    await one.beat("a", "");
    expectEqual(keysOf(await two.take("a", "", "c")), ["a.9"]);
  },
};
