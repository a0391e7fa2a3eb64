/** Compiles what `npm start` takes up: an installation whose streams have changed, into a folder of its own. */
import { cp, rm } from "node:fs/promises";
import { join } from "node:path";
import { BUILT, type Installation } from "../../lib/installation.ts";
import { compile } from "../stack/build-installation.ts";

/**
 * Compiles it, with what else `npm start` has built, into the folder. Returns what tsc complains of, as it prints it; empty: nothing, and
 * the folder is complete.
 */
export async function compileStreams(
  installation: Pick<Installation, "root" | "names" | "main">,
  folder: string,
  signal: AbortSignal,
): Promise<string> {
  const { root, names } = installation;
  await rm(folder, { recursive: true, force: true });
  const old = join(root, BUILT, names.streams);
  const filter = (file: string) => !`${file}/`.startsWith(old);
  await cp(join(root, BUILT), folder, { recursive: true, filter });
  const complaints = await compile(installation, folder, signal);
  if (complaints !== "") await rm(folder, { recursive: true, force: true });
  return complaints;
}
