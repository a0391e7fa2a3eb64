/** `clear` while the client takes over what an earlier run left: none of it comes back, neither to be sent nor in the store. */
import { expect, test } from "vitest";
import { makeClient } from "../src/client.ts";
import type { Store, StoredEvent } from "../src/index.ts";
import { until } from "./until.ts";

const left: StoredEvent = { key: "a.1", id: "i", stream: "s", ack: undefined, seenAt: 0, body: '{"id":"i"}' };

/** A store with one event that an earlier run left, whose takeover reads at once and moves when it is told to. */
function slowStore() {
  const events = new Map([[left.key, left]]);
  let move = () => {};
  let isTaking = false;
  const store: Store = {
    async put(_, added) {
      for (const event of added) events.set(event.key, event);
    },
    async remove(_, keys) {
      for (const key of keys) events.delete(key);
    },
    async beat() {},
    async clear() {
      events.clear();
    },
    queues: async () => [["before", ""]],
    async take() {
      isTaking = true;
      const found = [...events.values()];
      await new Promise<void>((resolve) => {
        move = resolve;
      });
      for (const event of found) events.set(event.key, event);
      return found;
    },
  };
  return { store, events, isTaking: () => isTaking, move: () => move() };
}

test.each([true, false])("an event that another run left is not sent after clear: %s", async (isCleared) => {
  const { store, events, isTaking, move } = slowStore();
  const sent: string[] = [];
  const client = makeClient({
    ...{ url: "http://spillway.invalid", key: "k", store, batch: { ms: 0 } },
    fetch: async (_, init) => {
      sent.push(String(init?.body));
      throw new TypeError("offline");
    },
  });
  await until(isTaking, "a takeover");
  if (isCleared) await client.clear();
  move();
  if (isCleared) await until(() => events.size === 0, "an empty store");
  else await until(() => sent.length > 0, "a request");
  await client.flush({ withinMs: 1 });
  expect(sent.length > 0).toBe(!isCleared);
  expect([...events.keys()]).toEqual(isCleared ? [] : ["a.1"]);
  expect(client.waiting.events).toBe(isCleared ? 0 : 1);
  await client.close();
});
