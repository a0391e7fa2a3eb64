/** The text of a key: its prefix, its randomness, and a checksum that tells a mistyped key from an unknown one. */
import { readFileSync } from "node:fs";
import { crc32 } from "node:zlib";
import { expect, test } from "vitest";
import { claimedKind, isWellFormed, newKey } from "../../lib/access/key-format.ts";

/** Made by Python's zlib.crc32, in base 62 with the digits 0-9, A-Z, a-z. */
const KNOWN = [
  "spw_0000000000000000000000000000002lScLM",
  "spw_pub_0000000000000000000000000000002w77OV",
  "spw_ABCDEFGHIJKLMNOPQRSTUVWXYZabcd1IumHY",
  "spw_pub_ABCDEFGHIJKLMNOPQRSTUVWXYZabcd23Jm7T",
  "spw_nmBrcHBun1Z3pg4xZESsKSLul6O3lT008xiW", // a small CRC: zeros stand before it
];

test("the checksum is the CRC-32 that everybody knows, of everything before it", () => {
  expect(crc32("123456789")).toBe(0xcbf43926); // the check value of CRC-32/ISO-HDLC
  for (const key of KNOWN) expect(isWellFormed(key), key).toBe(true);
});

test("a key with any one character changed, swapped, lost or added is not well-formed", () => {
  for (const key of [...KNOWN, newKey("secret"), newKey("public")])
    for (let at = 0; at < key.length; at += 1) {
      const [before, own, after] = [key.slice(0, at), key[at], key.slice(at + 1)];
      for (const other of "0aZ_-")
        expect(isWellFormed(`${before}${other}${after}`), `${other} at ${at}`).toBe(other === own);
      expect(isWellFormed(before + after), `without ${at}`).toBe(false);
      expect(isWellFormed(before), `cut at ${at}`).toBe(false);
      expect(isWellFormed(`${before}x${own}${after}`), `longer at ${at}`).toBe(false);
      if (own !== after[0] && after !== "")
        expect(isWellFormed(before + after[0] + own + after.slice(1)), `swapped at ${at}`).toBe(false);
    }
  for (const text of ["", "spw_", "spw_pub_", " ".repeat(40), `${KNOWN[0]}\n`, `${KNOWN[0]}${KNOWN[0]}`])
    expect(isWellFormed(text), text).toBe(false);
});

test("a secret key can't be turned into a public one by its prefix, nor the other way", () => {
  expect(isWellFormed(newKey("secret").replace("spw_", "spw_pub_"))).toBe(false);
  expect(isWellFormed(newKey("public").replace("spw_pub_", "spw_"))).toBe(false);
});

test("new keys are well-formed, say their kind, differ, and use all 62 digits evenly", () => {
  const keys = Array.from({ length: 500 }, (_, i) => newKey(i % 2 === 0 ? "secret" : "public"));
  expect(new Set(keys).size).toBe(500);
  const counts = new Map<string, number>();
  for (const [i, key] of keys.entries()) {
    expect(isWellFormed(key)).toBe(true);
    expect(claimedKind(key)).toBe(i % 2 === 0 ? "secret" : "public");
    const random = key.replace(/^spw_(pub_)?/, "").slice(0, -6);
    expect(random.length * Math.log2(62)).toBeGreaterThan(160);
    for (const digit of random) counts.set(digit, (counts.get(digit) ?? 0) + 1);
  }
  expect([...counts.keys()].sort().join("")).toMatch(/^[0-9A-Za-z]{62}$/);
  // 15,000 digits: 242 of each are expected, with a deviation of 15.4.
  for (const [digit, count] of counts) expect(Math.abs(count - 242), digit).toBeLessThan(110);
});

test("only our prefixes claim a kind", () => {
  for (const text of ["", "spw", "SPW_x", "xspw_", "sk_live_1", "Spw_pub_1"])
    expect(claimedKind(text), text).toBeUndefined();
  expect([claimedKind("spw_"), claimedKind("spw_pub"), claimedKind("spw_pub_")]).toEqual([
    "secret",
    "secret",
    "public",
  ]);
});

test("the expression in SECURITY.md finds each key in a leaked file, and no longer text", () => {
  const source = /Secret scanners[^`]*`([^`]+)`/.exec(readFileSync("SECURITY.md", "utf8"))?.[1] ?? "";
  const keys = [...KNOWN, newKey("secret"), newKey("public")];
  const file = keys.map((key, i) => `KEY_${i}="${key}", https://example.com/?key=${key}&x=1\n`).join("");
  expect(file.match(new RegExp(source, "g"))).toEqual(keys.flatMap((key) => [key, key]));
  expect(`${keys[0]}0 x${keys[0]} spw_short`.match(new RegExp(source, "g"))).toBeNull();
});
