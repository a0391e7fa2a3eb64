/** docs/recipes.md for its test: each block of code by its name, and its programs as files of a folder in which they run. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { Stream } from "../../lib/schema/stream.ts";
import { isStream, makePageFolder, project } from "../page-folder.ts";

const page = readFileSync(join(project, "docs/recipes.md"), "utf8");

/** By the name in the comment before each. */
export const blocks = new Map(
  [...page.matchAll(/^<!-- block: (\S+) -->\n\n```\w+\n([\s\S]*?)^```$/gm)].map(
    ([, name = "", text = ""]): [string, string] => [name, text],
  ),
);

/** How many blocks of code the page has, named or not. */
export const blockCount = [...page.matchAll(/^```\w/gm)].length;

export function block(name: string): string {
  const text = blocks.get(name);
  if (text === undefined) throw new Error(`expected a block ${name} in docs/recipes.md, got none`);
  return text;
}

/** Writes the page's TypeScript where it could stand: streams in lib/streams/, programs beside it. */
export async function openFolder() {
  const folder = makePageFolder();
  for (const [name, text] of blocks)
    if (name.endsWith(".ts")) writeFileSync(join(folder, isStream(text) ? "lib/streams" : ".", name), text);
  const running = new Set<ChildProcess>();

  /** Starts a program of the page. */
  function start(name: string, env: Record<string, string>): ChildProcess {
    const options = { cwd: folder, env: { ...process.env, ...env } };
    const child = spawn(process.execPath, ["--import", "tsx", join(folder, name)], {
      ...options,
      stdio: "inherit",
    });
    running.add(child);
    child.once("close", () => running.delete(child));
    return child;
  }

  /** Ends a program as a machine does that fails. */
  async function kill(child: ChildProcess): Promise<void> {
    if (child.exitCode !== null) throw new Error(`the program had ended with ${child.exitCode}`);
    child.kill("SIGKILL");
    await once(child, "close");
  }

  const url = pathToFileURL(join(folder, "lib/streams/orders.ts")).href;
  const { default: orders } = (await import(url)) as { default: Stream };
  return {
    ...{ orders, start, kill },
    killAll: () => Promise.all([...running].map(kill)),
    close: () => rmSync(folder, { recursive: true, force: true }),
  };
}
