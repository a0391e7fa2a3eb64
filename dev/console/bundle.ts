/**
 * Bundles the console's page from its source, in memory, when its server starts: it takes some tenths of a second, and what is served is never
 * older than its source.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const SOURCE = fileURLToPath(new URL("../../packages/console/src", import.meta.url));

/** A file of the page. */
export interface PageFile {
  type: string;
  bytes: Uint8Array;
}

/** Makes the files of the page, by their paths. Throws esbuild's errors. */
export async function bundlePage(): Promise<ReadonlyMap<string, PageFile>> {
  const bundled = build({
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
  const [{ outputFiles }, html, icon] = await Promise.all([
    bundled,
    readFile(join(SOURCE, "index.html")),
    readFile(join(SOURCE, "icon.svg")),
  ]);
  const endingWith = (end: string): Uint8Array => {
    const file = outputFiles.find(({ path }) => path.endsWith(end));
    if (file === undefined) throw new Error(`expected esbuild to write a file that ends with ${end}`);
    return file.contents;
  };
  return new Map([
    ["/", { type: "text/html; charset=utf-8", bytes: html }],
    ["/console.js", { type: "text/javascript; charset=utf-8", bytes: endingWith("console.js") }],
    ["/console.css", { type: "text/css; charset=utf-8", bytes: endingWith("style.css") }],
    ["/icon.svg", { type: "image/svg+xml", bytes: icon }],
  ]);
}
