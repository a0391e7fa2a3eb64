/** The page in all is small: at most 60 kB gzipped, all of it its own. */
import { gzipSync } from "node:zlib";
import { beforeAll, expect, test } from "vitest";
import { bundlePage } from "../../../dev/console/bundle.ts";

let page: Awaited<ReturnType<typeof bundlePage>>;
beforeAll(async () => {
  page = await bundlePage();
});

test("the page's files are at most 60 kB gzipped", () => {
  const bytes = [...page.values()].reduce((sum, file) => sum + gzipSync(file.bytes).byteLength, 0);
  expect(bytes).toBeLessThanOrEqual(60_000);
});

test("the supervisor's bodies are types in it: it holds no zod", () => {
  const text = new TextDecoder().decode(page.get("/console.js")?.bytes);
  expect(text).not.toMatch(/ZodError|_zod/);
});

test("it names no other site but the docs, and has no inline style or script", () => {
  const text = [...page.values()].map(({ bytes }) => new TextDecoder().decode(bytes)).join("\n");
  const sites = new Set(text.match(/https?:\/\/[\w.-]+/g));
  expect([...sites].filter((site) => site !== "https://github.com" && !site.endsWith("www.w3.org"))).toEqual(
    [],
  );
  const html = new TextDecoder().decode(page.get("/")?.bytes);
  expect(html).not.toMatch(/style=|<style|<script(?! type="module" src="\/console\.js">)|\son\w+=/);
});
