/** README's streams: each snippet compiles, as a file of lib/streams/ in a copy of the project, and declares a stream. */
import { execFile } from "node:child_process";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, expect, test } from "vitest";
import { copyProject, project } from "./project-copy.ts";

const { folder, remove } = copyProject();
afterAll(remove);

const run = (...args: string[]) =>
  new Promise<string>((resolve) => {
    execFile(process.execPath, args, { cwd: folder }, (error, out, err) =>
      resolve(error ? `${out}${err}` : out),
    );
  });

const readme = readFileSync(join(project, "README.md"), "utf8");
const snippets = [...readme.matchAll(/^```ts\n(.*?)^```$/gms)]
  .map(([, code]) => code as string)
  .filter((code) => code.includes("export default defineStream"));

test("README's streams compile, and can be loaded", async () => {
  expect(snippets.length).toBeGreaterThan(4);
  const streams = join(folder, "lib/streams");
  rmSync(streams, { recursive: true });
  for (const other of ["functions", "dev"]) rmSync(join(folder, other), { recursive: true });
  const names = snippets.map((code) => /^ {2}name: "(\w+)"/m.exec(code)?.[1] ?? expect.fail(code));
  expect(new Set(names).size).toBe(names.length);

  mkdirSync(streams);
  for (const [i, code] of snippets.entries()) writeFileSync(join(streams, `${names[i]}.ts`), code);
  expect(await run("node_modules/typescript/bin/tsc", "--noEmit", "-p", ".")).toBe("");
  const loading = `const { loadStreams } = await import(${JSON.stringify(pathToFileURL(join(folder, "lib/schema/registry.ts")).href)}); console.log([...(await loadStreams()).keys()].join());`;
  expect(
    (await run("--import", "tsx", "--input-type=module", "-e", loading)).trim().split(",").sort(),
  ).toEqual([...names].sort());
}, 120_000);
