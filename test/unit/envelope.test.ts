/** Envelopes: what is written is read back, and what is none is told. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { decodeEnvelope, type Envelope, encodeEnvelope, withDeaths } from "../../lib/envelope.ts";

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
  ["an end cut off", text.slice(0, -1).slice(0, -1)],
])("%s is no envelope", (_what, given) => {
  expect(given).not.toBe(text);
  expect(decodeEnvelope(given)).toBeUndefined();
});
