/**
 * `npm start` for tests, in a copy of the project without streams. Each test file that imports this has a copy of its own, which is removed
 * after its last test; `addStreams` declares three streams in it.
 */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, onTestFinished } from "vitest";
import { copyProject } from "./project-copy.ts";

const { folder, remove } = copyProject();

export { folder };

for (const yours of ["lib/streams", "drizzle/migrations"])
  rmSync(join(folder, yours), { recursive: true, force: true });
afterAll(remove);

export const stackFile = join(folder, ".local/stack.json");

export interface StackFile {
  consoleUrl: string;
  ingestUrl: string;
  supervisorUrl: string;
  apiKey: string;
  databaseUrl: string;
  redisUrl: string;
  pids: Record<"ingest" | "supervisor" | "redis" | "postgres", number>;
}

export interface Run {
  child: ChildProcess;
  said: () => string;
  ended: Promise<number | null>;
}

export function start(portBase: number): Run {
  const child = spawn("npm", ["start"], {
    cwd: folder,
    env: { ...process.env, SPILLWAY_PORT_BASE: String(portBase) },
    detached: true, // a process group of its own, as a terminal's foreground job has
  });
  let said = "";
  for (const stream of [child.stdout, child.stderr]) stream?.on("data", (chunk) => (said += String(chunk)));
  onTestFinished(() => {
    // Only a test that failed finds the group still there.
    if (child.exitCode === null && child.signalCode === null) process.kill(-(child.pid ?? 0), "SIGTERM");
  });
  return { child, said: () => said, ended: new Promise((resolve) => child.once("exit", resolve)) };
}

/** Until the stack file is there and what `npm start` says after it has arrived here. */
export async function untilReady(run: Run): Promise<StackFile> {
  for (let tries = 0; tries < 600; tries++) {
    if (run.said().includes("Ctrl-C stops everything") && existsSync(stackFile))
      return JSON.parse(readFileSync(stackFile, "utf8")) as StackFile;
    if (run.child.exitCode !== null) break;
    await sleep(100);
  }
  throw new Error(`expected npm start to be ready, it said:\n${run.said()}`);
}

export async function stop(run: Run): Promise<void> {
  run.child.kill("SIGTERM");
  await run.ended;
}

/** The first by name is not the first of the file list, and its example needs quoting. */
export function addStreams(): void {
  if (existsSync(join(folder, "lib/streams"))) return;
  mkdirSync(join(folder, "lib/streams"));
  const declare = (name: string, more: string) =>
    writeFileSync(
      join(folder, `lib/streams/${name}.ts`),
      `import { jsonb, pgTable } from "drizzle-orm/pg-core";
      import { z } from "zod";
      import { defineStream, eventColumns, json } from "../schema/stream.ts";
      export const table = pgTable("${name}", { ...eventColumns(), said: jsonb("said").notNull() });
      export default defineStream({ name: "${name}", table, schema: z.strictObject({ said: json() }), ${more} });\n`,
    );
  declare("calls", "retired: true");
  declare("visits", `examples: [{ said: "it's \\"$HOME\\" ä" }]`);
  declare("zebras", "");
  execFileSync("npm", ["run", "--silent", "db:generate"], { cwd: folder });
}
