/** A folder in which the TypeScript of a page of docs/ runs as it stands: beside node_modules and lib/schema, with streams in lib/streams/. */
import { mkdirSync, mkdtempSync, realpathSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** This repository. */
export const project = fileURLToPath(new URL("..", import.meta.url));

/** Makes it; whoever calls removes it. */
export function makePageFolder(): string {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), "spillway-page-")));
  mkdirSync(join(folder, "lib/streams"), { recursive: true });
  for (const shared of ["node_modules", "lib/schema"])
    symlinkSync(join(project, shared), join(folder, shared));
  writeFileSync(join(folder, "package.json"), '{"type":"module"}');
  return folder;
}

/** Whether a snippet declares a stream, and so stands in lib/streams/. */
export const isStream = (text: string): boolean => text.includes("defineStream(");
