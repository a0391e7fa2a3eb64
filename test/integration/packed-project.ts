/**
 * The npm package as a tarball, packed without the network in a copy of the project with bait in it, and unpacked where an installation has it.
 * Whoever imports this packs once, before the first test of the file.
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll } from "vitest";
import { copyProject, project } from "./project-copy.ts";

/** Beside what `npm start` needs, so that what has no place in the package could get into it. */
const MORE = [
  ...["docs", "terraform", "deploy", "template", "testing", "test"],
  ...["LICENSE", "README.md", "SECURITY.md", "CHANGELOG.md", ".env.example"],
];
/** What is a deployer's own, or secret, and how it could get into the package. */
const BAIT = [
  ...[".env", ".local/stack.json", "dist/.env", "bin/notes.md", "deploy/.env", "docs/.env"],
  ...["terraform/terraform.tfvars", "terraform/terraform.tfstate", "terraform/.terraform/modules/x.tf"],
  ...["lib/streams/bait.ts", "drizzle/migrations/9999_bait.sql", "packages/client/.env"],
  ...["template/.env", "template/terraform/terraform.tfvars", "template/node_modules/x/index.js"],
];

const { folder: source, remove } = copyProject(MORE);

/** The copy of the project. */
export { source };
/** The folder of an installation, which has nothing but the package. */
export const installation = mkdtempSync(join(tmpdir(), "spillway installed ä "));
export const packed = join(installation, "node_modules/spillway");

afterAll(() => {
  remove();
  rmSync(installation, { recursive: true, force: true });
});

/** A stream, as an installation declares it. */
export const STREAM = `import { integer, pgTable, text } from "drizzle-orm/pg-core";
    import { defineStream, eventColumns } from "spillway";
    import { z } from "zod";
    export const orders = pgTable("orders", { ...eventColumns(), sku: text("sku").notNull(), count: integer("count") });
    export default defineStream({ name: "orders", table: orders, schema: z.strictObject({ sku: z.string(), count: z.int32().optional() }) });\n`;

/** Packs the project and unpacks the tarball. Returns where that is, and the files in it. */
export function pack(): { tarball: string; files: string[] } {
  for (const file of BAIT) write(source, file, file.endsWith(".ts") ? "export const BAIT = 1;\n" : "BAIT\n");
  const said = execFileSync("npm", ["pack", "--offline", "--json"], {
    ...{ cwd: source, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] },
  });
  const [{ filename }] = JSON.parse(said.slice(said.indexOf("[\n"))) as [{ filename: string }];
  const tarball = join(source, filename);
  mkdirSync(packed, { recursive: true });
  execFileSync("tar", ["xzf", tarball, "--strip-components=1", "-C", packed]);
  const files = readdirSync(packed, { recursive: true, withFileTypes: true })
    .filter((one) => !one.isDirectory())
    .map((one) => join(one.parentPath, one.name).slice(packed.length + 1))
    .sort();
  return { tarball, files };
}

/** Writes a file, and the folders above it. */
export function write(folder: string, file: string, text: string): void {
  mkdirSync(dirname(join(folder, file)), { recursive: true });
  writeFileSync(join(folder, file), text);
}

/** Gives the installation this project's packages, except the project's own. */
export function linkPackages(
  from = join(project, "node_modules"),
  to = join(installation, "node_modules"),
): void {
  for (const name of readdirSync(from)) {
    if (name.startsWith("spillway") || (name.startsWith(".") && name !== ".bin")) continue;
    if (name.startsWith("@")) {
      mkdirSync(join(to, name), { recursive: true });
      linkPackages(join(from, name), join(to, name));
    } else symlinkSync(join(from, name), join(to, name));
  }
}

/** What a module imports of the package's files. */
export const relativeImports = (text: string): string[] =>
  [...text.matchAll(/^[^*\n]*?(?:from |import |import\()"(\.{1,2}\/[^"]+)"/gm)].map(([, to = ""]) => to);

/** The packages that a module imports. */
export const packageImports = (text: string): string[] =>
  [...text.matchAll(/^[^*\n]*?(?:from |import |import\()"((?:@[\w-]+\/)?[\w-]+)(?:\/[^"]*)?"/gm)].map(
    ([, name = ""]) => name,
  );

/** Until a function answers on this port. */
export async function untilHealthy(port: number): Promise<void> {
  for (let tries = 0; tries < 200; tries++) {
    const answer = await fetch(`http://127.0.0.1:${port}/health`).catch(() => undefined);
    if (answer?.ok) return;
    await sleep(50);
  }
  throw new Error("expected the function to answer within 10 s");
}
