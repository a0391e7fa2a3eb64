/**
 * The files of the console's page. In a checkout they are bundled from their source, in memory, when the console's server starts: it takes some
 * tenths of a second, and what is served is never older than its source. The package has them bundled (dev/build.mjs).
 */
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const SOURCE = fileURLToPath(new URL("../../packages/console/src", import.meta.url));
const BUNDLED = fileURLToPath(new URL("page", import.meta.url));

/** A file of the page. */
export interface PageFile {
  type: string;
  bytes: Uint8Array;
}

const PAGE = "index.html";
/** The types of the files, by their paths from `/`, which is the page. */
const TYPES = new Map([
  [PAGE, "text/html; charset=utf-8"],
  ["console.js", "text/javascript; charset=utf-8"],
  ["console.css", "text/css; charset=utf-8"],
  ["icon.svg", "image/svg+xml"],
]);

/** Makes the files of the page, by their paths. Throws esbuild's errors. */
export async function bundlePage(): Promise<ReadonlyMap<string, PageFile>> {
  const read = existsSync(BUNDLED) ? (name: string) => readFile(join(BUNDLED, name)) : await bundle();
  const files = [...TYPES].map(async ([name, type]) => {
    const file: PageFile = { type, bytes: await read(name) };
    return [name === PAGE ? "/" : `/${name}`, file] as const;
  });
  return new Map(await Promise.all(files));
}

/** Bundles script and style, and returns how each file is read. */
async function bundle(): Promise<(name: string) => Promise<Uint8Array>> {
  const { build } = await import("esbuild");
  const { outputFiles } = await build({
    entryPoints: { console: join(SOURCE, "main.tsx"), style: join(SOURCE, "console.css") },
    outdir: SOURCE,
    bundle: true,
    minify: true,
    write: false,
    format: "esm",
    target: "es2022",
    logLevel: "silent",
    legalComments: "none",
    define: { "process.env.NODE_ENV": '"production"' },
  });
  const made = new Map([
    ["console.js", "console.js"],
    ["console.css", "style.css"],
  ]);
  return async (name) => {
    const end = made.get(name);
    if (end === undefined) return readFile(join(SOURCE, name));
    const file = outputFiles.find(({ path }) => path.endsWith(end));
    if (file === undefined) throw new Error(`expected esbuild to write a file that ends with ${end}`);
    return file.contents;
  };
}
