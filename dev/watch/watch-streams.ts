/**
 * While `npm start` runs, takes up streams that change: their files are checked and compiled, both functions are loaded anew beside the
 * running ones, and take over from them. If that fails at any step, the running ones go on as they were. No migration is made or applied.
 *
 * A deployed function watches nothing.
 */
import { rm } from "node:fs/promises";
import { join, relative } from "node:path";
import { BUILT, type Installation } from "../../lib/installation.ts";
import { type FunctionProcess, NotLoaded, type Successor } from "../stack/function-process.ts";
import { type Act, ChangeWatch } from "./change-watch.ts";
import { compileStreams } from "./compile-streams.ts";
import { reasonIn } from "./reason.ts";
import { WatchedFiles } from "./watched-files.ts";

const LOOK_EVERY_MS = 250;
const AS_THEY_WERE = "the functions go on as they were";

export interface StreamWatch {
  /** Gives up what is under way. */
  stop(): Promise<void>;
}

interface Options {
  installation: Pick<Installation, "root" | "names" | "main">;
  /** Holds what is compiled. */
  folder: string;
  /** When the build began that runs now, in milliseconds since 1970: what was saved since is taken up, too. */
  builtAtMs: number;
  /** The first takes over first: the supervisor reads what a newer ingest writes. */
  functions: readonly FunctionProcess[];
  /** Tells people one thing, in one line or more. */
  say: (text: string) => void;
}

export async function watchStreams(options: Options): Promise<StreamWatch> {
  const taking = new Taking(options);
  await rm(options.folder, { recursive: true, force: true });
  await taking.files.follow();
  const built = taking.files.lookAsOf(options.builtAtMs);
  const watch = new ChangeWatch(taking.files, built, (changes, isStale) => taking.takeUp(changes, isStale));
  const timer = setInterval(() => watch.tick(), LOOK_EVERY_MS);
  return {
    stop: async () => {
      clearInterval(timer);
      taking.stopping.abort();
      await watch.settled();
    },
  };
}

class Taking {
  readonly files: WatchedFiles;
  readonly stopping = new AbortController();
  readonly #options: Options;
  #builds = 0;
  #running: string | undefined;

  constructor(options: Options) {
    this.#options = options;
    this.files = new WatchedFiles(options.installation);
  }

  async takeUp(...[changes, isStale]: Parameters<Act>): ReturnType<Act> {
    try {
      return await this.#takeUp(changes, isStale);
    } catch (error) {
      if (!this.stopping.signal.aborted)
        this.#options.say(`${changes}: ${(error as Error).message}; ${AS_THEY_WERE}`);
      return "refused";
    }
  }

  async #takeUp(...[changes, isStale]: Parameters<Act>): ReturnType<Act> {
    const { installation, folder, say } = this.#options;
    if (changes === "") {
      say("all files are again as the functions run them");
      return "taken";
    }
    const beganMs = performance.now();
    this.#builds += 1;
    const build = join(folder, String(this.#builds));
    const complaints = await compileStreams(installation, build, this.stopping.signal);
    if (isStale()) return "stale";
    if (complaints !== "") {
      say(`${complaints}\n${changes}: type errors; ${AS_THEY_WERE}`);
      return "refused";
    }
    const successors = await this.#load(build, changes);
    if (successors === undefined) return "refused";
    if (isStale() || this.stopping.signal.aborted) {
      await discard(successors, build);
      return "stale";
    }
    for (const successor of successors) await successor.takeOver();
    say(`${changes}: both functions run it now (${((performance.now() - beganMs) / 1000).toFixed(1)} s)`);
    if (this.#running) await rm(this.#running, { recursive: true, force: true });
    this.#running = build;
    return "taken";
  }

  /** Loads all functions, or none and says why. */
  async #load(build: string, changes: string): Promise<Successor[] | undefined> {
    const { functions, say, installation } = this.#options;
    const source = join(build, relative(BUILT, installation.main));
    const loading = await Promise.allSettled(functions.map((one) => one.prepare(source)));
    const loaded = loading.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
    if (loaded.length === functions.length) return loaded;
    await discard(loaded, build);
    if (this.stopping.signal.aborted) return undefined;
    const { reason } = loading.find(({ status }) => status === "rejected") as PromiseRejectedResult;
    const why =
      reason instanceof NotLoaded
        ? reasonIn(reason.lines, build, installation.names.streams)
        : String(reason);
    say(`${why}\n${changes}: it does not load; ${AS_THEY_WERE}`);
    return undefined;
  }
}

async function discard(successors: readonly Successor[], build: string): Promise<void> {
  await Promise.all(successors.map((one) => one.discard()));
  await rm(build, { recursive: true, force: true });
}
