/** Tests that need a browser are skipped with one line where there is none, and fail in CI. */
import { expect, test } from "vitest";
import { hasBrowser } from "../integration/browser.ts";

const missing = async () => {
  throw new Error("This test needs Chromium.");
};

test("where there is a browser, nothing is said", async () => {
  const said: string[] = [];
  const options = { isCi: false, say: (line: string) => void said.push(line) };
  expect(await hasBrowser(async () => "/usr/bin/chromium", options)).toBe(true);
  expect(said).toEqual([]);
});

test("where there is none, one line says so; in CI it fails", async () => {
  const said: string[] = [];
  const say = (line: string) => void said.push(line);
  expect(await hasBrowser(missing, { isCi: false, say })).toBe(false);
  expect(said).toEqual(["SKIPPED: This test needs Chromium."]);
  await expect(hasBrowser(missing, { isCi: true, say })).rejects.toThrow("This test needs Chromium.");
});
