/** The TypeScript of README, docs/streams.md and docs/recipes.md compiles, and the streams that it declares start: each snippet is a file of lib/streams/ in a folder of its own. */
import { execFileSync } from "node:child_process";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { isStream, makePageFolder, project } from "../page-folder.ts";

const pages = ["README.md", "docs/streams.md", "docs/recipes.md"]
  .map((page) => readFileSync(join(project, page), "utf8"))
  .join("\n");
const snippets = [...pages.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, text = ""], i) => ({
  name: `snippet-${i + 1}.ts`,
  text,
}));
const streams = snippets.filter(({ text }) => isStream(text));

let folder: string;
beforeAll(() => {
  folder = makePageFolder();
  const config = { extends: join(project, "tsconfig.json"), include: ["lib/streams"] };
  writeFileSync(join(folder, "tsconfig.json"), JSON.stringify(config));
  for (const { name, text } of snippets) writeFileSync(join(folder, "lib/streams", name), text);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Runs a program of node_modules in the project; returns what it said and its status. */
function run(args: readonly string[]) {
  try {
    return { status: 0, said: execFileSync(process.execPath, args, { cwd: project, encoding: "utf8" }) };
  } catch (error) {
    const { status, stdout, stderr } = error as { status: number; stdout: string; stderr: string };
    return { status, said: stdout + stderr };
  }
}

test("there are streams in it", () => expect(streams.length).toBeGreaterThan(1));

test("every snippet compiles", { timeout: 60_000 }, () => {
  const tsc = join(project, "node_modules/typescript/bin/tsc");
  expect(run([tsc, "-p", folder])).toEqual({ status: 0, said: "" });
});

test.each(streams)("$name declares a stream that starts", { timeout: 60_000 }, ({ name }) => {
  const url = pathToFileURL(join(folder, "lib/streams", name)).href;
  const script = `const { default: stream } = await import("${url}"); console.log(stream.recordset.columns.length > 0);`;
  expect(run(["--import", "tsx", "--input-type=module", "-e", script])).toEqual({
    status: 0,
    said: "true\n",
  });
});
