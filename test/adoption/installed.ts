/** Spillway packed as npm packs it, and an installation that has it as a package, in a folder of the test's own. */
import { type ChildProcess, execFile, execFileSync, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { Stack } from "../../dev/stack/stack.ts";
import { freeBase } from "../free-base.ts";

const project = fileURLToPath(new URL("../../", import.meta.url));

/** A folder, and programs that run in it with nothing of the test runner's environment. What npm keeps of ours goes with it. */
export class Place {
  readonly folder = mkdtempSync(join(tmpdir(), "spillway packed ä "));
  readonly env: NodeJS.ProcessEnv;
  readonly #children = new Set<ChildProcess>();

  constructor() {
    const { PATH, HOME, LANG } = process.env;
    const cache = join(this.folder, "npm cache");
    mkdirSync(cache);
    const shared = execFileSync("npm", ["config", "get", "cache"], { encoding: "utf8" }).trim();
    mkdirSync(join(shared, "_cacache"), { recursive: true });
    symlinkSync(join(shared, "_cacache"), join(cache, "_cacache"));
    const npm = { cache, prefer_offline: "true", audit: "false", fund: "false", update_notifier: "false" };
    const settings = Object.entries(npm).map(([name, value]) => [`npm_config_${name}`, value]);
    this.env = { PATH, HOME, LANG, NO_COLOR: "1", ...Object.fromEntries(settings) };
  }

  /** Runs a program to its end and returns what it wrote. Throws all of it where it fails. */
  run(cwd: string, program: string, args: string[], more: NodeJS.ProcessEnv = {}): Promise<string> {
    return new Promise((resolve, reject) => {
      const settings = { cwd, env: { ...this.env, ...more }, maxBuffer: 2 ** 28 };
      const child = execFile(program, args, settings, (error, out, err) => {
        if (error === null) resolve(out);
        else reject(new Error(`${program} ${args.join(" ")} failed:\n${`${out}\n${err}`.slice(-20_000)}`));
      });
      child.stdin?.end();
    });
  }

  /** Starts a program in a process group of its own, and says what it has written so far. */
  start(cwd: string, program: string, args: string[], more: NodeJS.ProcessEnv = {}) {
    const child = spawn(program, args, { cwd, env: { ...this.env, ...more }, detached: true });
    let said = "";
    for (const output of [child.stdout, child.stderr]) output.on("data", (piece) => (said += String(piece)));
    this.#children.add(child);
    const ended = new Promise<void>((resolve) => child.once("close", () => resolve()));
    void ended.then(() => this.#children.delete(child));
    return { child, ended, said: () => said };
  }

  /** Ends what a failed test left running, and removes the folder. */
  async remove(): Promise<void> {
    for (const { pid } of this.#children) if (pid !== undefined) process.kill(-pid, "SIGTERM");
    for (let tries = 0; this.#children.size > 0 && tries < 150; tries++) await sleep(100);
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** Packs this repository, and returns the tarball. */
export async function packOurs(place: Place): Promise<string> {
  const out = await place.run(project, "npm", ["pack", "--silent", "--pack-destination", place.folder]);
  return join(place.folder, out.trim().split("\n").at(-1) ?? "");
}

/** Packs a newer version: the same with one more migration of ours, and with nothing else. */
export async function packNewer(
  place: Place,
  tarball: string,
  version: string,
  sql: string,
): Promise<string> {
  const folder = join(place.folder, version);
  mkdirSync(folder);
  await place.run(folder, "tar", ["-xzf", tarball]);
  const change = (path: string, how: (content: Record<string, never>) => void) => {
    const file = join(folder, "package", path);
    const content = JSON.parse(readFileSync(file, "utf8"));
    how(content);
    writeFileSync(file, JSON.stringify(content, null, 2));
  };
  change("package.json", (json: Record<string, unknown>) => {
    json.version = version;
  });
  const migrations = "dist/drizzle/spillway";
  change(`${migrations}/meta/_journal.json`, ({ entries }: { entries?: Record<string, unknown>[] }) => {
    const last = entries?.at(-1) as { idx: number; when: number };
    entries?.push({ ...last, idx: last.idx + 1, when: last.when + 1, tag: "9999_newer" });
  });
  writeFileSync(join(folder, "package", migrations, "9999_newer.sql"), sql);
  const packed = join(place.folder, basename(tarball).replace(/-[\d.]+\.tgz$/, `-${version}.tgz`));
  await place.run(folder, "tar", ["-czf", packed, "package"]);
  return packed;
}

/** A running `npm start`: what of its stack file the tests need. */
export interface Running
  extends Pick<Stack, "ingestUrl" | "supervisorUrl" | "apiKey" | "databaseUrl" | "redisUrl">,
    Pick<Stack, "restUrl" | "restToken" | "neonHttpUrl" | "stop"> {}

/** Runs `npm start` in an installation until it is ready. It drains by itself once an hour. */
export async function npmStart(place: Place, folder: string): Promise<Running> {
  const env = { SPILLWAY_PORT_BASE: String(await freeBase()), DRAIN_EVERY: "3600s" };
  const { child, ended, said } = place.start(folder, "npm", ["start"], env);
  for (let tries = 0; !said().includes("Ctrl-C stops everything"); tries++) {
    if (child.exitCode !== null || tries === 1200)
      throw new Error(`expected npm start to be ready, it said:\n${said()}`);
    await sleep(100);
  }
  const stack = JSON.parse(readFileSync(join(folder, ".local/stack.json"), "utf8"));
  const stop = async () => {
    child.kill("SIGTERM");
    await ended;
  };
  return { ...stack, stop };
}
