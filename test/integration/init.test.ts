/** `spillway init`: what it makes, and when it makes nothing. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeEach, describe, expect, test } from "vitest";
import { sourceOf } from "../../dev/operate/init/spillway-source.ts";
import { runSpillway } from "./run-spillway.ts";

const root = mkdtempSync(join(tmpdir(), "spillway init ä "));
let cwd: string;
beforeEach(() => {
  cwd = mkdtempSync(join(root, "folder "));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

const read = (file: string) => readFileSync(join(cwd, file), "utf8");

test("it makes a repository of what is yours, and says in three lines what to do next", async () => {
  const { code, out, err } = await runSpillway(["init", "my-buffer"], { cwd });
  expect([code, err]).toEqual([0, ""]);
  expect(out.trim().split("\n")).toHaveLength(3);
  expect(out).toContain("cd my-buffer && npm install");
  expect(readdirSync(join(cwd, "my-buffer")).sort()).toEqual([
    ".dockerignore",
    ".gcloudignore",
    ".gitignore",
    "Dockerfile",
    "README.md",
    "cloudbuild.yaml",
    "drizzle",
    "package.json",
    "server.ts",
    "streams",
    "terraform",
    "test",
    "tsconfig.json",
    "vitest.config.ts",
  ]);
  const { name, dependencies } = JSON.parse(read("my-buffer/package.json"));
  expect([name, dependencies.spillway]).toEqual(["my-buffer", "^0.1.0"]);
  expect(read("my-buffer/.gitignore")).toContain("*.tfvars");
  expect(read("my-buffer/drizzle/migrations/0000_events.sql")).toContain('CREATE TABLE "events"');
});

test("a new repository that is still empty is a place for it, and so is a folder inside folders that are not there", async () => {
  mkdirSync(join(cwd, "mine/.git"), { recursive: true });
  expect(await runSpillway(["init", "."], { cwd: join(cwd, "mine") })).toMatchObject({ code: 0, err: "" });
  expect(JSON.parse(read("mine/package.json")).name).toBe("mine");
  expect(await runSpillway(["init", "a b/c/yours"], { cwd })).toMatchObject({
    code: 0,
    out: expect.stringContaining("cd 'a b/c/yours' && npm install"),
  });
});

describe("it refuses in one sentence, and writes nothing:", () => {
  const refuse = async (args: string[], code: number, sentence: RegExp) => {
    const before = readdirSync(cwd, { recursive: true });
    const run = await runSpillway(["init", ...args], { cwd });
    expect([run.code, run.out, run.err]).toEqual([code, "", expect.stringMatching(sentence)]);
    expect(readdirSync(cwd, { recursive: true })).toEqual(before);
  };

  test("a folder that is not empty", async () => {
    mkdirSync(join(cwd, "full/.git"), { recursive: true });
    writeFileSync(join(cwd, "full/notes.txt"), "");
    await refuse(["full"], 1, /^spillway init: full is not empty \(it holds notes\.txt\): .*\n$/);
  });

  test("a file", async () => {
    writeFileSync(join(cwd, "file"), "");
    await refuse(["file"], 1, /^spillway init: file is not a folder\n$/);
  });

  test("a folder under a file", async () => {
    writeFileSync(join(cwd, "file"), "");
    await refuse(["file/mine"], 1, /^spillway init: file\/mine is not a folder\n$/);
  });

  test.each([
    "My-Buffer",
    "a b",
    "ämy",
    ".hidden",
    "_x",
    "node_modules",
    "x".repeat(215),
    "spillway", // a package can't depend on itself
    "zod",
  ])("the name %s, which npm would refuse", async (name) => {
    await refuse([name], 1, /^spillway init: ".*" can't be the name of a package: .*\n$/);
  });

  test("no folder, and two", async () => {
    await refuse(
      [],
      2,
      /^spillway init: expected a folder, such as: .*\nspillway init --help says more\.\n$/,
    );
    await refuse(["a", "b"], 2, /^spillway init: expected DIR, got a b\n/);
  });
});

describe("the spillway of a new installation is the one that made it:", () => {
  const installed = (dependencies: Record<string, string>) => {
    const folder = join(cwd, "node_modules/spillway");
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(cwd, "package.json"), JSON.stringify({ dependencies }));
    return folder;
  };

  test.each([
    ["a registry", "^0.1.0", "^0.1.2"],
    ["a registry, by a tag", "latest", "^0.1.2"],
    ["a link", "file:../spillway", "^0.1.2"],
    ["a catalog of its workspace", "catalog:", "^0.1.2"],
    ["a folder that Yarn links", "portal:../spillway", "^0.1.2"],
    ["a repository", "github:me/spillway#v0.1.2", "github:me/spillway#v0.1.2"],
    ["an address", "https://example.com/spillway.tgz", "https://example.com/spillway.tgz"],
  ])("%s", (_, asked, spec) => {
    expect(sourceOf(installed({ spillway: asked }), "0.1.2")).toEqual({ spec });
  });

  test("a file, which the installation then holds", () => {
    expect(sourceOf(installed({ spillway: "file:../packed/spillway-0.1.2.tgz" }), "0.1.2")).toEqual({
      spec: "file:spillway-0.1.2.tgz",
      tarball: join(cwd, "../packed/spillway-0.1.2.tgz"),
    });
  });

  test("a checkout", () => expect(sourceOf(cwd, "0.1.2")).toEqual({ spec: "^0.1.2" }));
});
