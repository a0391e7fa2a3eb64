/** The stores that Node has: each keeps the promises of store-contract.ts. The browser's is in browser.test.ts. */
import { appendFileSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import type { StoredEvent } from "../src/store.ts";
import { files } from "../src/stores/files.ts";
import { keyValue } from "../src/stores/key-value.ts";
import { memory } from "../src/stores/memory.ts";
import { type OpenTwo, promises } from "./store-contract.ts";

const folder = mkdtempSync(join(tmpdir(), "spillway-client-"));
let folders = 0;
const newFolder = () => join(folder, String(++folders), "events");
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** As AsyncStorage: each call takes a turn of the event loop. */
function slowStorage() {
  const values = new Map<string, string>();
  const later = async <T>(work: () => T): Promise<T> => {
    await new Promise((resolve) => setImmediate(resolve));
    return work();
  };
  return {
    values,
    getItem: (key: string) => later(() => values.get(key) ?? null),
    setItem: (key: string, value: string) => later(() => void values.set(key, value)),
    removeItem: (key: string) => later(() => void values.delete(key)),
    getAllKeys: () => later(() => [...values.keys()]),
  };
}

/** One app has one store on its storage. */
const twice = <T>(store: T): [T, T] => [store, store];
const stores: [name: string, open: OpenTwo][] = [
  ["memory", () => twice(memory())],
  [
    "files",
    () => {
      const dir = newFolder();
      return [files(dir), files(dir)];
    },
  ],
  ["keyValue", () => twice(keyValue(slowStorage()))],
];

for (const [name, open] of stores)
  for (const [promise, check] of Object.entries(promises)) test(`${name}: ${promise}`, () => check(open));

const event = (key: string): StoredEvent => ({ key, stream: "s", id: key, body: "{}", seenAt: 0 });

test("keyValue: what another run left behind is free at once", async () => {
  const storage = slowStorage();
  await keyValue(storage).put("a", [event("a.1")]);
  const next = keyValue(storage);
  await next.put("b", [event("b.1")]);
  expect(await next.queues()).toEqual([
    ["a", ""],
    ["b", undefined],
  ]);
  expect(await next.take("a", "", "b")).toEqual([event("a.1")]);
});

test("files: a line that a kill cut short costs no other event, and what follows it is read", async () => {
  const dir = newFolder();
  const store = files(dir);
  store.put("a", [event("a.1"), event("a.2"), event("a.3")]);
  const [name = ""] = readdirSync(dir);
  appendFileSync(join(dir, name), '{"key":"a.4","stre');
  store.remove("a", ["a.2"]);
  expect(files(dir).take("a", undefined, "b")).toEqual([event("a.1"), event("a.3")]);
});

test("files: an event is in a file when put returns, and no file is left once all have ended", () => {
  const dir = newFolder();
  const store = files(dir);
  const events = Array.from({ length: 1000 }, (_, n) => event(`a.${n}`));
  for (const one of events) store.put("a", [one]);
  expect(files(dir).queues()).toEqual([["a", undefined]]);
  for (const { key } of events) store.remove("a", [key]);
  expect(readdirSync(dir)).toEqual([]);
});

test("files: a folder that can't be written makes put throw, and nothing else", () => {
  const dir = newFolder();
  const store = files(join(dir, "file", "below"));
  rmSync(dir, { recursive: true, force: true });
  files(dir).put("a", [event("a.1")]);
  writeFileSync(join(dir, "file"), "");
  expect(() => store.put("a", [event("a.1")])).toThrow();
  expect(store.queues()).toEqual([]);
  store.remove("a", ["a.1"]);
  store.clear();
});
