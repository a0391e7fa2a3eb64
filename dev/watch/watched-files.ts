/**
 * The files that `npm start` watches: those of the folder of streams, and those of the project that they import, from wherever. They are looked
 * at by their times and sizes, because that sees every way in which an editor saves, and a folder that is made later.
 */
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { build } from "esbuild";
import type { Installation } from "../../lib/installation.ts";

/** How each file is, by its path from the project's root. */
export type Look = ReadonlyMap<string, string>;

/** No hidden files: editors keep theirs there while one types. */
const SOURCE = /(?:^|\/)[^./][^/]*\.(?:ts|json)$/;

export class WatchedFiles {
  readonly #root: string;
  readonly #streams: string;
  #imported: readonly string[] = [];

  constructor({ root, names }: Pick<Installation, "root" | "names">) {
    this.#root = root;
    this.#streams = names.streams;
  }

  look(): Look {
    const files = new Set([...this.#inFolder(), ...this.#imported]);
    return new Map([...files].sort().flatMap((file) => this.#stateOf(file)));
  }

  /** As `look`, and each file that is newer than that moment differs from what any look sees. */
  lookAsOf(atMs: number): Look {
    const isNewer = (state: string) => Number.parseFloat(state) > atMs;
    return new Map([...this.look()].map(([file, state]) => [file, isNewer(state) ? "" : state]));
  }

  /** Finds out what the streams import. If they can't be read, what they imported before is watched on. */
  async follow(): Promise<void> {
    const entryPoints = this.#inFolder().filter((file) => file.endsWith(".ts"));
    try {
      const { metafile } = await build({
        ...{ absWorkingDir: this.#root, entryPoints, outdir: "none", write: false, metafile: true },
        ...{ bundle: true, packages: "external", platform: "node", format: "esm", logLevel: "silent" },
      });
      this.#imported = Object.keys(metafile.inputs);
    } catch {
      // tsc says what is wrong with them.
    }
  }

  #inFolder(): string[] {
    try {
      const files = readdirSync(join(this.#root, this.#streams), { recursive: true, encoding: "utf8" });
      return files.filter((file) => SOURCE.test(file)).map((file) => join(this.#streams, file));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return []; // the folder, or one that has just gone
      throw error;
    }
  }

  #stateOf(file: string): [string, string][] {
    const stat = statSync(join(this.#root, file), { throwIfNoEntry: false });
    return stat?.isFile() ? [[file, `${stat.mtimeMs} ${stat.size} ${stat.ino}`]] : [];
  }
}

/** Which files differ, in words for people: `a.ts changed, b.ts added`. Empty: none does. */
export function describeChanges(before: Look, after: Look): string {
  const files = [...new Set([...before.keys(), ...after.keys()])].sort();
  const changes = files.flatMap((file) => {
    const [was, is] = [before.get(file), after.get(file)];
    if (was === is) return [];
    return [`${file} ${was === undefined ? "added" : is === undefined ? "deleted" : "changed"}`];
  });
  const more = changes.length - 3;
  return [...changes.slice(0, 3), ...(more > 0 ? [`and ${more} more`] : [])].join(", ");
}
