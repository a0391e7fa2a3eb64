/**
 * Signatures that the providers publish, and what is made of odd ones. That a delivery's own library signs what is accepted is
 * tested over HTTP (test/integration/webhooks.test.ts).
 */
import { createHmac } from "node:crypto";
import { Webhook } from "standardwebhooks";
import { describe, expect, test } from "vitest";
import { githubVerify } from "../../lib/access/webhook-github.ts";
import { shopifyVerify } from "../../lib/access/webhook-shopify.ts";
import { slackVerify } from "../../lib/access/webhook-slack.ts";
import { standardVerify } from "../../lib/access/webhook-standard.ts";
import { stripeVerify } from "../../lib/access/webhook-stripe.ts";

const NOW_MS = Date.parse("2026-11-27T12:00:00Z");
const NOW = NOW_MS / 1000;
const hex = (secret: string, text: string) => createHmac("sha256", secret).update(text).digest("hex");

describe("GitHub", () => {
  const verify = githubVerify("It's a Secret to Everybody");
  const body = Buffer.from("Hello, World!");
  const signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";

  test("the example of its documentation holds", () => {
    expect(verify({ "x-hub-signature-256": signature }, body, NOW_MS)).toEqual({ signedId: undefined });
  });

  test.each([
    ["upper case", signature.toUpperCase()],
    ["upper-case digits", `sha256=${signature.slice(7).toUpperCase()}`],
    ["without its prefix", signature.slice(7)],
    ["empty", ""],
    ["only the prefix", "sha256="],
    ["given twice", `${signature}, ${signature}`],
    ["cut short", signature.slice(0, -1)],
    ["of SHA-1", `sha1=${createHmac("sha1", "It's a Secret to Everybody").update(body).digest("hex")}`],
    ["with a letter that is not ASCII", `${signature.slice(0, -1)}é`],
  ])("%s: it does not hold", (_, given) => {
    expect(verify({ "x-hub-signature-256": given }, body, NOW_MS)).toBeUndefined();
  });

  test("another header, or none, does not hold", () => {
    expect(verify({}, body, NOW_MS)).toBeUndefined();
    expect(verify({ "x-hub-signature": signature }, body, NOW_MS)).toBeUndefined();
  });
});

describe("Slack", () => {
  const verify = slackVerify("8f742231b10e8888abcd99yyyzzz85a5");
  const AT = 1_531_420_618;
  const body = Buffer.from(
    "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c",
  );
  const signature = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503";
  const headers = { "x-slack-request-timestamp": String(AT), "x-slack-signature": signature };

  test("the example of its documentation holds, for five minutes", () => {
    for (const at of [AT - 300, AT, AT + 300])
      expect(verify(headers, body, at * 1000)).toEqual({ signedId: undefined });
    for (const at of [AT - 301, AT + 301]) expect(verify(headers, body, at * 1000)).toBeUndefined();
  });

  test.each([
    ["another time", { ...headers, "x-slack-request-timestamp": String(AT + 1) }],
    ["no time", { "x-slack-signature": signature }],
    ["a time that is no number", { ...headers, "x-slack-request-timestamp": `${AT}x` }],
    ["a time given twice", { ...headers, "x-slack-request-timestamp": `${AT}, ${AT}` }],
    ["another scheme", { ...headers, "x-slack-signature": signature.replace("v0", "v1") }],
    ["upper-case digits", { ...headers, "x-slack-signature": `v0=${signature.slice(3).toUpperCase()}` }],
  ])("%s: it does not hold", (_, given) => {
    expect(verify(given, body, AT * 1000)).toBeUndefined();
  });
});

describe("Stripe", () => {
  const secret = "whsec_test_secret";
  const verify = stripeVerify(secret);
  const body = Buffer.from('{"id":"evt_1"}');
  const good = hex(secret, `${NOW}.{"id":"evt_1"}`);
  const other = "0".repeat(64);
  const holds = (header: string, nowMs = NOW_MS) =>
    verify({ "stripe-signature": header }, body, nowMs) !== undefined;

  test("each v1 is tried, in any order", () => {
    for (const header of [
      `t=${NOW},v1=${good}`,
      `t=${NOW},v1=${other},v1=${good}`,
      `t=${NOW},v1=${good},v1=${other},v0=${other}`,
      `v1=${good},t=${NOW}`,
      `t=${NOW}, v1=${good}`,
    ])
      expect(holds(header), header).toBe(true);
  });

  test("five minutes, before and after", () => {
    for (const ms of [-300_000, 300_000]) expect(holds(`t=${NOW},v1=${good}`, NOW_MS + ms)).toBe(true);
    for (const ms of [-300_001, 300_001]) expect(holds(`t=${NOW},v1=${good}`, NOW_MS + ms)).toBe(false);
  });

  test.each([
    ["no v1", `t=${NOW},v0=${good}`],
    ["an unknown scheme", `t=${NOW},v1a=${good}`],
    ["no time", `v1=${good}`],
    ["two times", `t=${NOW},t=${NOW},v1=${good}`],
    ["the header twice", `t=${NOW},v1=${good}, t=${NOW},v1=${good}`],
    ["another time", `t=${NOW + 1},v1=${good}`],
    ["a time with a sign", `t=+${NOW},v1=${good}`],
    ["an empty signature", `t=${NOW},v1=`],
    ["upper-case digits", `t=${NOW},v1=${good.toUpperCase()}`],
    ["nothing", ""],
  ])("%s: it does not hold", (_, header) => expect(holds(header)).toBe(false));
});

describe("Shopify", () => {
  const verify = shopifyVerify("hush");
  const body = Buffer.from('{"id":1}');
  const good = createHmac("sha256", "hush").update(body).digest("base64");

  test("base64 of the body's HMAC, and nothing else", () => {
    const holds = (header: string) => verify({ "x-shopify-hmac-sha256": header }, body, NOW_MS) !== undefined;
    expect(holds(good)).toBe(true);
    for (const odd of ["", good.slice(0, -1), `${good}=`, `${good}, ${good}`, hex("hush", '{"id":1}')])
      expect(holds(odd), odd).toBe(false);
  });
});

describe("Standard Webhooks", () => {
  const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
  const verify = standardVerify(secret);
  // The library reads the wall clock itself, so these are signed now.
  const at = Math.floor(Date.now() / 1000);
  const headersOf = (body: Buffer, more: Record<string, string> = {}) => ({
    "webhook-id": "msg_1",
    "webhook-timestamp": String(at),
    "webhook-signature": new Webhook(secret).sign("msg_1", new Date(at * 1000), body),
    ...more,
  });
  const body = Buffer.from('{"type":"a"}');

  test("the library's own signature holds, with the id that it covers, with and without whsec_", () => {
    expect(verify(headersOf(body), body, Date.now())).toEqual({ signedId: "msg_1" });
    expect(standardVerify(secret.slice(6))(headersOf(body), body, Date.now())).toEqual({ signedId: "msg_1" });
  });

  test("each v1 is tried, and other schemes are not looked at", () => {
    const good = headersOf(body)["webhook-signature"];
    const other = `v1,${Buffer.alloc(32).toString("base64")}`;
    const holds = (given: string) =>
      verify(headersOf(body, { "webhook-signature": given }), body, Date.now()) !== undefined;
    for (const given of [`${other} ${good}`, `${good} ${other}`, `v1a,abc= ${good}`, `v2,x ${good}`])
      expect(holds(given), given).toBe(true);
    for (const given of ["", "v1", "v1,", other, good.replace("v1,", "v1a,"), good.slice(3), `v1${good}`])
      expect(holds(given), given).toBe(false);
  });

  test.each([
    ["another id", { "webhook-id": "msg_2" }],
    ["another time", { "webhook-timestamp": String(at - 1) }],
    ["a time with something behind it", { "webhook-timestamp": `${at}.0` }],
    ["an empty id", { "webhook-id": "" }],
  ])("%s: it does not hold", (_, more) => {
    expect(verify(headersOf(body, more), body, Date.now())).toBeUndefined();
  });

  test("bytes that are not UTF-8 are told apart, though the library reads them as the same text", () => {
    const key = Buffer.from(secret.slice(6), "base64");
    const sent = Buffer.from([0x7b, 0xff, 0x7d]);
    const changed = Buffer.from([0x7b, 0xfe, 0x7d]);
    const mac = createHmac("sha256", key).update(`msg_1.${at}.`).update(sent).digest("base64");
    const headers = headersOf(sent, { "webhook-signature": `v1,${mac}` });
    expect(verify(headers, sent, Date.now())).toEqual({ signedId: "msg_1" });
    expect(verify(headers, changed, Date.now())).toBeUndefined();
    expect(verify(headersOf(sent), sent, Date.now())).toBeUndefined(); // a signature of the text with U+FFFD
  });

  test("a secret that is not base64 is refused", () => {
    for (const bad of ["whsec_", "whsec_not base64!", ""]) expect(() => standardVerify(bad)).toThrow();
  });
});
