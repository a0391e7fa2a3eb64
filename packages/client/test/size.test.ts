/** What a page downloads for the client with its IndexedDB store. */
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";
import { expect, test } from "vitest";

const source = fileURLToPath(new URL("../src/index.ts", import.meta.url));

async function bundle(contents: string) {
  const result = await build({
    stdin: { contents, resolveDir: fileURLToPath(new URL(".", import.meta.url)) },
    ...{ bundle: true, minify: true, format: "esm", target: "es2022", metafile: true, write: false },
  });
  const [file] = result.outputFiles;
  const inputs = Object.values(result.metafile.outputs)[0]?.inputs ?? {};
  return {
    text: file?.text ?? "",
    bytes: gzipSync(file?.contents ?? "", { level: 9 }).length,
    names: Object.entries(inputs)
      .filter(([, { bytesInOutput }]) => bytesInOutput > 0)
      .map(([name]) => name.replace(/.*\/src\//, "")),
  };
}

test("the client with IndexedDB is at most 5 kB gzipped, and brings nothing of other stores or of anybody else", async () => {
  const { bytes, names, text } = await bundle(
    `export { createClient, indexedDb } from ${JSON.stringify(source)}`,
  );
  console.info(`spillway-client with IndexedDB: ${bytes} bytes`);
  expect(bytes).toBeLessThanOrEqual(5000);
  expect(names.filter((name) => name.includes("node_modules"))).toEqual([]);
  expect(names.filter((name) => name.startsWith("stores/"))).toEqual(["stores/indexed-db.ts"]);
  expect(text).toContain("keepalive");
  expect(text).not.toMatch(/sendBeacon|localStorage/);
});
