/** Envelopes: what is written is read back, and what is none is told. */
import { randomBytes } from "node:crypto";
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { expect, test } from "vitest";
import {
  decodeEnvelope,
  type Envelope,
  encodeEnvelope,
  packEnvelope,
  withDeaths,
} from "../../lib/schema/envelope.ts";

const ID = "0190b3c4-aaaa-7bbb-8ccc-000000000009";
const envelope = { v: 1, id: ID, receivedAt: "2026-11-21T09:30:00.123Z", dataJson: `{"n":1}` };
const text = encodeEnvelope(envelope);

const envelopes: fc.Arbitrary<Envelope> = fc.record({
  v: fc.integer({ min: 1, max: 999_999_999 }),
  id: fc.uuid(),
  receivedAt: fc
    .date({ min: new Date("0001-01-01"), max: new Date("9999-12-31"), noInvalidDate: true })
    .map((date) => date.toISOString()),
  deaths: fc.option(fc.integer({ min: 0, max: 999_999_999 }), { nil: undefined }),
  dataJson: fc.jsonValue().map((value) => JSON.stringify(value)),
});

test("what is encoded is JSON, and decodes to the same", () => {
  fc.assert(
    fc.property(envelopes, (made) => {
      const encoded = encodeEnvelope(made);
      expect(decodeEnvelope(encoded)).toEqual(made);
      const { dataJson, ...head } = made;
      const { data, ...parsedHead } = JSON.parse(encoded);
      expect(parsedHead).toEqual(JSON.parse(JSON.stringify(head)));
      expect(data).toEqual(JSON.parse(dataJson));
    }),
  );
});

/** Compressible or not, around the size from which packing pays. */
const data = fc.oneof(
  fc.tuple(fc.string({ unit: "grapheme" }), fc.nat(1000)).map(([text, times]) => text.repeat(times)),
  fc.uint8Array({ minLength: 1500, maxLength: 6000 }).map((bytes) => Buffer.from(bytes).toString("base64")),
  fc.jsonValue({ maxDepth: 6 }),
);

test("what is packed is JSON with the same head, never longer, and decodes to the same", () => {
  let packedCount = 0;
  fc.assert(
    fc.property(envelopes, data, (head, value) => {
      const made = { ...head, dataJson: JSON.stringify(value) };
      const plain = encodeEnvelope(made);
      const packed = packEnvelope(plain);
      expect(decodeEnvelope(packed)).toEqual(made);
      expect(packed.length).toBeLessThanOrEqual(plain.length);
      expect(packEnvelope(packed)).toBe(packed);
      if (packed === plain) return;
      packedCount += 1;
      expect(plain.length).toBeGreaterThanOrEqual(2048);
      const { gzip: _gzip, ...parsedHead } = JSON.parse(packed);
      const { dataJson: _dataJson, ...givenHead } = made;
      expect(parsedHead).toEqual(JSON.parse(JSON.stringify(givenHead)));
    }),
  );
  expect(packedCount).toBeGreaterThan(0);
});

test("repetitive data of 10 KB is packed to less than a tenth, random data of 10 KB is left as it is", () => {
  const of = (value: string) => encodeEnvelope({ ...envelope, dataJson: JSON.stringify(value) });
  const repetitive = of("abc ".repeat(2500));
  expect(packEnvelope(repetitive).length).toBeLessThan(repetitive.length / 10);
  const random = of(randomBytes(7500).toString("base64"));
  expect(packEnvelope(random)).toBe(random);
});

test("what is no envelope is not packed", () => {
  const other = JSON.stringify({ text: "abc ".repeat(2500) });
  expect(packEnvelope(other)).toBe(other);
});

const gzipped = (data: string | Buffer) => Buffer.from(gzipSync(data)).toString("base64");
const packedWith = (value: string) => text.replace(`"data":{"n":1}`, `"gzip":${value}`);

test("data unpacks to 8 MB at most", () => {
  const json = (bytes: number) => packedWith(`"${gzipped(Buffer.alloc(bytes, "1"))}"`);
  expect(decodeEnvelope(json(8_388_608))?.dataJson).toHaveLength(8_388_608);
  expect(decodeEnvelope(json(8_388_609))).toBeUndefined();
});

test("deaths are set, and set anew, without touching the rest", () => {
  const once = withDeaths(text, 1);
  expect(decodeEnvelope(once)).toEqual({ ...envelope, deaths: 1 });
  expect(decodeEnvelope(withDeaths(once, 2))).toEqual({ ...envelope, deaths: 2 });
  expect(() => withDeaths("{}", 1)).toThrow("expected an envelope");
});

test("an id in capitals is the same id", () => {
  expect(decodeEnvelope(text.replace(ID, ID.toUpperCase()))).toEqual(envelope);
});

test.each([
  ["nothing", ""],
  ["no JSON", "nonsense"],
  ["another object", "{}"],
  ["a version of 0", text.replace(`"v":1`, `"v":0`)],
  ["a version that no integer column holds", text.replace(`"v":1`, `"v":1000000000`)],
  ["an id that is no UUID", text.replace(ID, ID.replace("0190", "x190"))],
  ["a day that does not exist", text.replace("2026-11-21", "2026-13-41")],
  ["a moment without its zone", text.replace("123Z", "123")],
  ["deaths that are no count", withDeaths(text, 1).replace(`"deaths":1`, `"deaths":-1`)],
  ["packed data that is not base64", packedWith(`"{}"`)],
  ["packed data that is no gzip", packedWith(`"${Buffer.from(`{"n":1}`).toString("base64")}"`)],
  ["packed data cut off", packedWith(`"${gzipped(`{"n":1}`).slice(0, -8)}"`)],
  ["packed data without its quotes", packedWith(gzipped(`{"n":1}`))],
  ["an end cut off", text.slice(0, -1).slice(0, -1)],
])("%s is no envelope", (_what, given) => {
  expect(given).not.toBe(text);
  expect(decodeEnvelope(given)).toBeUndefined();
});
