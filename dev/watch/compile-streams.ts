/**
 * Compiles the streams, with everything else of the functions as `npm start` has compiled it, into a folder of its own. tsc checks the
 * streams and all that they import, by the project's configuration; with an error it writes nothing.
 */
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { cp, rm } from "node:fs/promises";
import { join } from "node:path";

/** Returns what tsc complains of, as it prints it; empty: nothing, and the folder is complete. */
export async function compileStreams(root: string, folder: string, signal: AbortSignal): Promise<string> {
  await rm(folder, { recursive: true, force: true });
  const old = join(root, "dist/lib/streams");
  const filter = (file: string) => file !== old;
  await cp(join(root, "dist"), folder, { recursive: true, filter });
  const migrations = "drizzle/migrations"; // the doctor tells which of them are not applied
  if (existsSync(join(root, migrations)))
    await cp(join(root, migrations), join(folder, migrations), { recursive: true });
  const { status, said } = await run(root, folder, signal);
  if (status === 0) return "";
  await rm(folder, { recursive: true, force: true });
  return said.trim() || `tsc ended with status ${status}`;
}

function run(root: string, folder: string, signal: AbortSignal): Promise<{ status: number; said: string }> {
  const args = ["--project", "dev/tsconfig.streams.json", "--outDir", folder, "--pretty", "false"];
  return new Promise((resolve, reject) => {
    const child = spawn(join(root, "node_modules/.bin/tsc"), args, {
      ...{ cwd: root, signal, stdio: ["ignore", "pipe", "pipe"] },
    });
    let said = "";
    for (const output of [child.stdout, child.stderr]) output?.on("data", (piece) => (said += String(piece)));
    child.once("error", reject);
    child.once("close", (status) => resolve({ status: status ?? 1, said }));
  });
}
