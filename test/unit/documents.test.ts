/**
 * The documents hold together: each link leads to a file and a heading that exist, each setting is in README and in `.env.example`, and
 * each log event of the code is explained. Web addresses are not asked.
 */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { environmentNames } from "../../lib/config.ts";

const project = fileURLToPath(new URL("../../", import.meta.url));
const read = (path: string) => readFileSync(join(project, path), "utf8");

const filesOf = (folder: string, ending: string): string[] =>
  readdirSync(join(project, folder), { withFileTypes: true, recursive: true })
    .map((entry) => join(entry.parentPath, entry.name).slice(project.length))
    .filter((path) => path.endsWith(ending) && !path.includes("node_modules/"));

const pages = [
  ...readdirSync(project).filter((name) => name.endsWith(".md")),
  ...["docs", "packages", "examples"]
    .filter((folder) => existsSync(join(project, folder)))
    .flatMap((folder) => filesOf(folder, ".md")),
];

const withoutCode = (text: string) => text.replaceAll(/^\s*```[\s\S]*?^\s*```$/gm, "");

/** The anchors that GitHub makes of headings, and those that a page sets itself. */
function anchorsOf(path: string): Set<string> {
  const text = withoutCode(read(path));
  const headings = [...text.matchAll(/^#+ (.+)$/gm)].map(([, heading = ""]) =>
    heading
      .replaceAll(/\[([^\]]*)\]\([^)]*\)/g, "$1")
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} _-]/gu, "")
      .replaceAll(" ", "-"),
  );
  return new Set([...headings, ...[...text.matchAll(/<a id="([^"]+)"/g)].map(([, id = ""]) => id)]);
}

/** What a link of a page does not find; undefined: it finds its target. */
function missingAt(page: string, link: string): string | undefined {
  const [path = "", anchor] = link.split("#");
  const target = path === "" ? page : join(dirname(page), path);
  if (!existsSync(join(project, target))) return `${page}: ${link} is not there`;
  if (anchor === undefined || anchorsOf(target).has(anchor)) return undefined;
  return `${page}: ${target} has no heading #${anchor}`;
}

test.each(pages)("each link of %s leads somewhere", (page) => {
  const links = [...withoutCode(read(page)).matchAll(/\]\(([^)\s]+)\)/g)].map(([, link = ""]) => link);
  const missing = links.filter((link) => !/^[a-z]+:/.test(link)).map((link) => missingAt(page, link));
  expect(missing.filter((text) => text !== undefined)).toEqual([]);
});

test.each(pages)("each file that %s names exists, if it is ours", (page) => {
  const ours = /`((?:lib\/(?!streams\/)|functions\/|dev\/|terraform\/|test\/|bin\/)[\w./-]+\.\w+)`/g;
  const named = [...withoutCode(read(page)).matchAll(ours)].map(([, path = ""]) => path);
  expect(named.filter((path) => !existsSync(join(project, path)))).toEqual([]);
});

describe("each setting", () => {
  test.each(environmentNames)("%s is in README's table and in .env.example", (name) => {
    expect(read("README.md")).toContain(`\`${name}\``);
    expect(read(".env.example")).toMatch(new RegExp(`^${name}=`, "m"));
  });
});

test("docs/operations.md explains each log event", () => {
  const code = ["lib", "functions"].flatMap((folder) => filesOf(folder, ".ts")).map(read);
  const said = code.flatMap((text) =>
    [...text.matchAll(/log\??\.(?:info|warn|error)\(\s*"([a-z.-]+)"/g)].map(([, event = ""]) => event),
  );
  expect(said.length).toBeGreaterThan(30);
  const page = read("docs/operations.md");
  expect(said.filter((event) => !page.includes(`\`${event}\``))).toEqual([]);
});

/** The commands in a page's blocks; of README only those of "Deploy". */
function commandsOf(page: string): string[] {
  const text =
    page === "README.md"
      ? (read(page)
          .split(/^## /m)
          .find((part) => part.startsWith("Deploy\n")) ?? "")
      : read(page);
  const blocks = [...text.matchAll(/^ *```sh\n([\s\S]*?)^ *```$/gm)].map(([, block = ""]) => block);
  return blocks
    .flatMap((block) => block.replaceAll("\\\n", " ").split("\n"))
    .filter((line) => line.trim() !== "");
}

test.each(["README.md", "docs/first-deploy.md"])("zsh takes each command of %s that deploys", (page) => {
  const commands = commandsOf(page);
  expect(commands.length).toBeGreaterThan(8);
  // An interactive zsh takes a # for a word: a comment after a command becomes its arguments.
  expect(commands.filter((command) => /(^|\s)#/.test(command))).toEqual([]);
  // macOS before 15 has no sha256sum.
  expect(commands.filter((command) => command.includes("sha256sum"))).toEqual([]);
});

test("a key that README makes can't be taken for its digest, and its commands print the digest alone", () => {
  const made = commandsOf("README.md")
    .filter((command) => /\bKEY\b/.test(command))
    .slice(0, 3);
  const out = execFileSync("bash", ["-c", made.join("\n")], { encoding: "utf8" });
  const [, key = "", digest] = /^keep this: (\S+)\n([0-9a-f]{64})\n$/.exec(out) ?? [];
  expect(key).toMatch(/^key_[0-9a-f]{64}$/);
  expect(digest).toBe(createHash("sha256").update(key).digest("hex"));
});
