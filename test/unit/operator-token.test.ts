/** The operator token: who shows it is known, and what a setting may not be. */
import { describe, expect, test } from "vitest";
import { operatorTokenCheck } from "../../lib/access/operator-token.ts";
import { readConfig } from "../../lib/config.ts";

const TOKEN = "0123456789abcdef0123456789abcdef";
const check = operatorTokenCheck(TOKEN);

test.each([`Bearer ${TOKEN}`, `bearer ${TOKEN}`, `BEARER \t ${TOKEN} \t`])("%j shows the token", (header) => {
  expect(check(header)).toBe(true);
});

test.each([
  undefined,
  "",
  TOKEN,
  `Bearer ${TOKEN}x`,
  `Bearer ${TOKEN.slice(1)}`,
  `Bearer ${TOKEN.toUpperCase()}`,
  `Bearer ${TOKEN} ${TOKEN}`,
  `Bearer ${TOKEN},${TOKEN}`,
  "Bearer ",
  "Bearer",
  `Basic ${Buffer.from(`:${TOKEN}`).toString("base64")}`,
  `Bearer ${"x".repeat(100_000)}`,
])("%j does not show it", (header) => {
  expect(check(header)).toBe(false);
});

const read = (token: string) =>
  readConfig({
    ...{ REDIS_URL: "redis://localhost", DATABASE_URL: "postgres://localhost/x" },
    OPERATOR_TOKEN: token,
  }).operatorToken;

describe("the setting", () => {
  test("is what stands in the header, without spaces around it", () => {
    expect(read(` ${TOKEN}\n`)).toBe(TOKEN);
    expect(read("  ")).toBeUndefined();
  });

  test.each([
    [TOKEN.slice(1), "expected at least 32 characters"],
    [`   ${TOKEN.slice(1)}   `, "expected at least 32 characters"],
    [`${TOKEN} and more`, "expected letters, digits and"],
    [`${TOKEN}ß`, "expected letters, digits and"],
  ])("%j is refused in a sentence that does not repeat it", (token, sentence) => {
    expect(() => read(token)).toThrow(`OPERATOR_TOKEN: ${sentence}`);
    expect(() => read(token)).not.toThrow(token.trim());
  });
});
