/** The documentation of the errors: each code has one row in docs/errors.md, which says of it what the code itself says. */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { Problem } from "../../functions/answer.ts";
import { type ProblemCode, problems, typeOf } from "../../lib/contract/problems.ts";

const rows = readFileSync(new URL("../../docs/errors.md", import.meta.url), "utf8")
  .split("\n")
  .filter((line) => line.startsWith("| <a id="))
  .map((line) => {
    const [, first = "", status = "", meaning = "", kept = "", again = "", cure = ""] = line
      .split("|")
      .map((cell) => cell.trim());
    const [, anchor, code] = /^<a id="([a-z-]+)"><\/a>`([a-z-]+)`$/.exec(first) ?? [];
    return { anchor, code, status: Number(status), meaning, kept, again, cure };
  });

test("each code has one row, with its status, and with what was kept and whether to send again", () => {
  const documented = rows.map(({ code, status, kept, again }) => ({ code, status, kept, again }));
  const declared = Object.entries(problems).map(([code, { status, kept, again }]) => ({
    code,
    status,
    kept,
    again,
  }));
  const byCode = (a: { code?: string | undefined }, b: { code?: string | undefined }) =>
    String(a.code).localeCompare(String(b.code));
  expect(documented.sort(byCode)).toEqual(declared.sort(byCode));
});

test("each row has a meaning, a cure, and the anchor that its type links to", () => {
  for (const { anchor, code, meaning, cure } of rows) {
    expect(meaning, code).toMatch(/\.$/);
    expect(cure, code).toMatch(/\.$/);
    expect(typeOf(code as ProblemCode)).toBe(
      `https://github.com/OWNER/spillway/blob/main/docs/errors.md#${anchor}`,
    );
  }
});

test("a problem has the status of its code", () => {
  expect(new Problem("rate-limited", "slower").status).toBe(429);
});
