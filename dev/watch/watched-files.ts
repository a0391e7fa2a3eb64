/**
 * The files that `npm start` watches: those of lib/streams/, and those of the project that they import, from wherever. They are looked
 * at by their times and sizes, because that sees every way in which an editor saves, and a folder that is made later.
 */
import { readdirSync, statSync } from "node:fs";
import { join, relative } from "node:path";
import { build } from "esbuild";

/** How each file is, by its path from the project's root. */
export type Look = ReadonlyMap<string, string>;

const STREAMS = "lib/streams";
/** No hidden files: editors keep theirs there while one types. */
const SOURCE = /(?:^|\/)[^./][^/]*\.(?:ts|json)$/;

export class WatchedFiles {
  readonly #root: string;
  #imported: readonly string[] = [];

  constructor(root: string) {
    this.#root = root;
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
      const files = readdirSync(join(this.#root, STREAMS), { recursive: true, encoding: "utf8" });
      return files.map((file) => join(STREAMS, file)).filter((file) => SOURCE.test(relative(STREAMS, file)));
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
