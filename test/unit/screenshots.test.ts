/** The pictures in the documentation: each that a page shows is there, the script makes it, and it is small enough to be loaded with a page. */
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { PICTURES } from "../../dev/screenshots/pictures.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const images = join(root, "docs", "images");
const pages = ["README.md", ...readdirSync(join(root, "docs")).map((name) => join("docs", name))].filter(
  (name) => name.endsWith(".md"),
);

interface Shown {
  page: string;
  file: string;
  alt: string;
}

/** The pictures of docs/images/ that a page shows by `<img>`, `<source>` or `![…](…)`. A `<source>` has the text of its `<img>`. */
function shownBy(page: string): Shown[] {
  const text = readFileSync(join(root, page), "utf8");
  const html = [...text.matchAll(/<picture>.*?<\/picture>|<img [^>]*>/gs)].flatMap(([tag]) =>
    [...tag.matchAll(/(?:src|srcset)="([^"]+)"/g)].map(([, src = ""]) => ({
      file: src,
      alt: /alt="([^"]*)"/.exec(tag)?.[1] ?? "",
    })),
  );
  const markdown = [...text.matchAll(/!\[([^\]]*)\]\(([^)]+)\)/g)].map(([, alt = "", file = ""]) => ({
    file,
    alt,
  }));
  return [...html, ...markdown]
    .map(({ file, alt }) => ({ page, file: relative(images, join(root, dirname(page), file)), alt }))
    .filter(({ file }) => /^[\w-]+\.png$/.test(file));
}

const shown = pages.flatMap(shownBy);
const made = PICTURES.map(({ file }) => file).sort();

test("the README shows the console and the surge, each picture with a text for who can't see it", () => {
  const inReadme = shown.filter(({ page }) => page === "README.md");
  expect(inReadme.map(({ file }) => file)).toEqual(
    expect.arrayContaining(["console-light.png", "surge-light.png"]),
  );
  expect(shown.filter(({ alt }) => alt.length < 40)).toEqual([]);
});

test("each picture that is shown is there, and npm run screenshots makes it and no other", () => {
  expect([...new Set(shown.map(({ file }) => file))].sort()).toEqual(made);
  expect(readdirSync(images).sort()).toEqual(made);
});

test.each(made)("%s is at most 1,200 pixels wide and 250 kB", (file) => {
  const png = readFileSync(join(images, file));
  expect(png.subarray(1, 4).toString()).toBe("PNG");
  expect(png.readUInt32BE(16)).toBeLessThanOrEqual(1200);
  expect(png.length).toBeLessThan(250_000);
});
