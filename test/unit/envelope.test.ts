/** Envelopes: what is written is read back, and what is none is told. */
import { randomBytes } from "node:crypto";
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { expect, test } from "vitest";
import {
  decodeEnvelope,
  type Envelope,
  encodedBytes,
  encodeEnvelope,
  packEnvelope,
  unpackEnvelope,
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
  burials: fc.option(fc.integer({ min: 0, max: 999_999_999 }), { nil: undefined }),
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
      const pushable = packEnvelope(made);
      const packed = encodeEnvelope(pushable);
      expect(decodeEnvelope(packed)).toEqual(made);
      expect(unpackEnvelope(pushable)).toEqual(made);
      expect(packed.length).toBeLessThanOrEqual(plain.length);
      const bytes = Buffer.byteLength(packed);
      expect(encodedBytes(pushable)).toBeGreaterThanOrEqual(bytes);
      expect(encodedBytes(pushable)).toBeLessThan(bytes + 40);
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
  const of = (value: string) => ({ ...envelope, dataJson: JSON.stringify(value) });
  const repetitive = of("abc ".repeat(2500));
  expect(encodeEnvelope(packEnvelope(repetitive)).length).toBeLessThan(repetitive.dataJson.length / 10);
  const random = of(randomBytes(7500).toString("base64"));
  expect(packEnvelope(random)).toBe(random);
});

const gzipped = (data: string | Buffer) => Buffer.from(gzipSync(data)).toString("base64");
const packedWith = (value: string) => text.replace(`"data":{"n":1}`, `"gzip":${value}`);

test("data unpacks to 8 MB at most", () => {
  const json = (bytes: number) => packedWith(`"${gzipped(Buffer.alloc(bytes, "1"))}"`);
  expect(decodeEnvelope(json(8_388_608))?.dataJson).toHaveLength(8_388_608);
  expect(decodeEnvelope(json(8_388_609))).toBeUndefined();
});

test("burials are set, and set anew, without touching the rest", () => {
  const once = encodeEnvelope({ ...envelope, burials: 1 });
  expect(JSON.parse(once)).toMatchObject({ burials: 1, data: { n: 1 } });
  expect(decodeEnvelope(once)).toEqual({ ...envelope, burials: 1 });
  const twice = encodeEnvelope({ ...decodeEnvelope(once)!, burials: 2 });
  expect(decodeEnvelope(twice)).toEqual({ ...envelope, burials: 2 });
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
  ["burials that are no count", encodeEnvelope({ ...envelope, burials: -1 })],
  ["packed data that is not base64", packedWith(`"{}"`)],
  ["packed data that is no gzip", packedWith(`"${Buffer.from(`{"n":1}`).toString("base64")}"`)],
  ["packed data cut off", packedWith(`"${gzipped(`{"n":1}`).slice(0, -8)}"`)],
  ["packed data without its quotes", packedWith(gzipped(`{"n":1}`))],
  ["an end cut off", text.slice(0, -1).slice(0, -1)],
])("%s is no envelope", (_what, given) => {
  expect(given).not.toBe(text);
  expect(decodeEnvelope(given)).toBeUndefined();
});
