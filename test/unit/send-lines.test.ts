/** The lines of an input and the batches they make: the same however the bytes come, with the keys on which a second sending relies. */
import { expect, test } from "vitest";
import { type Batch, batchesOf, bodyOf, halvesOf } from "../../dev/operate/send/batches.ts";
import { linesOf } from "../../dev/operate/send/lines.ts";

async function* inPieces(bytes: Buffer, size: number) {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const item of items) found.push(item);
  return found;
}

const read = async (text: string | Buffer, size = 7, maxBytes = 100) =>
  (await all(linesOf(inPieces(Buffer.from(text), size), maxBytes))).map(({ number, bytes }) => [
    number,
    bytes?.toString(),
  ]);

const batches = (text: string, { size = 65_536, name = "" } = {}): Promise<Batch[]> =>
  all(batchesOf(linesOf(inPieces(Buffer.from(text), size), 8_000_000), name));

test.each([1, 2, 3, 7, 1000])("lines are the same in pieces of %i bytes", async (size) => {
  expect(await read("\ufeffä1\r\nb\n\n  \r\nlast", size)).toEqual([
    [1, "ä1"],
    [2, "b"],
    [3, ""],
    [4, "  "],
    [5, "last"],
  ]);
  expect(await read("a\r\n", size)).toEqual([[1, "a"]]);
  expect(await read("a\rb\n\r\n", size)).toEqual([
    [1, "a\rb"],
    [2, ""],
  ]);
  expect(await read("", size)).toEqual([]);
});

test("a line over the limit is counted and not kept, at the limit it is kept, with either end", async () => {
  const limit = 100;
  for (const end of ["\n", "\r\n"])
    for (const size of [1, 33, 5000])
      expect(
        await read(`${"x".repeat(limit)}${end}${"y".repeat(limit + 1)}${end}z${end}`, size, limit),
      ).toEqual([
        [1, "x".repeat(limit)],
        [2, undefined],
        [3, "z"],
      ]);
});

test("a batch has at most 500 lines and 1 MB, and knows the lines and bytes read for it", async () => {
  const many = await batches(`${Array.from({ length: 1201 }, (_, i) => `{"n":${i}}`).join("\n")}\n`);
  expect(many.map(({ lines, lastLine }) => [lines.length, lastLine])).toEqual([
    [500, 500],
    [500, 1000],
    [201, 1201],
  ]);
  const large = await batches(Array.from({ length: 5 }, () => "x".repeat(400_000)).join("\n"));
  expect(large.map(({ lines }) => lines.length)).toEqual([2, 2, 1]);
  for (const batch of large) expect(bodyOf(batch.lines).length).toBeLessThanOrEqual(1_000_000);
  const [alone, after] = await batches(`${"x".repeat(2_000_000)}\n{}`);
  expect([alone?.lines.length, after?.lines.length]).toEqual([1, 1]);
  const [mixed] = await batches(`\n{"a":1}\n   \n${"z".repeat(8_000_001)}\n{"b":1}`);
  expect(mixed?.lines.map(({ number }) => number)).toEqual([2, 5]);
  expect(mixed?.tooLong).toEqual([4]);
  expect(await batches(" \n\t\r\n\n")).toEqual([]);
});

test("equal inputs have equal keys, however they come; equal batches of one input have different ones", async () => {
  const same = "{}\n".repeat(1200);
  const keysOf = async (text: string, options = {}) => (await batches(text, options)).map(({ key }) => key);
  const keys = await keysOf(same);
  expect(await keysOf(same, { size: 13 })).toEqual(keys);
  expect(await keysOf(same.replaceAll("\n", "\r\n"), { size: 13 })).toEqual(keys);
  expect(new Set(keys).size).toBe(3);
  expect((await keysOf(`${same}{}`)).map((key, i) => key === keys[i])).toEqual([true, true, false]);
  expect((await keysOf(`[]${same.slice(2)}`)).map((key, i) => key === keys[i])).toEqual([false, true, true]);
  expect((await keysOf(same, { name: "b" })).some((key) => keys.includes(key))).toBe(false);
  for (const key of keys) expect(key).toMatch(/^[\x21-\x7e]{1,255}$/);
});

test("halves hold every line once, under keys of their own", async () => {
  const [batch] = (await batches("1\n2\n3")) as [Batch];
  const halves = halvesOf(batch);
  expect(halves.flatMap(({ lines }) => lines)).toEqual(batch.lines);
  expect(new Set([batch, ...halves].map(({ key }) => key)).size).toBe(3);
});
