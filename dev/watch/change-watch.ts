/**
 * Notices that files have changed, and acts once a moment has passed in which they did not. What changes while it acts is noticed
 * afterwards, so the last state is acted on always, however the saves follow each other.
 */
import { describeChanges, type Look } from "./watched-files.ts";

/**
 * Acts on what differs from what was taken last; "": nothing does, after something was refused. `isStale` says whether the files have
 * changed again; then it may give up.
 */
export type Act = (changes: string, isStale: () => boolean) => Promise<"taken" | "refused" | "stale">;

interface Files {
  look(): Look;
  /** Finds out anew which files to look at. */
  follow(): Promise<void>;
}

export class ChangeWatch {
  readonly #files: Files;
  readonly #act: Act;
  /** The files as they were when they were last acted on, and when they were last taken. */
  #acted: Look;
  #taken: Look;
  #last: Look;
  #acting: Promise<void> | undefined;

  /** `taken`: the files as they are taken already. */
  constructor(files: Files, taken: Look, act: Act) {
    this.#files = files;
    this.#act = act;
    this.#acted = taken;
    this.#taken = taken;
    this.#last = this.#acted;
  }

  /** Looks once. Two looks that see the same, one after the other, make a quiet moment. */
  tick(): void {
    if (this.#acting) return;
    const now = this.#files.look();
    const isQuiet = isSame(now, this.#last);
    this.#last = now;
    if (!isQuiet || isSame(now, this.#acted)) return;
    this.#acting = this.#run(now).finally(() => {
      this.#acting = undefined;
    });
  }

  /** Resolves when it acts no more. Never rejects. */
  async settled(): Promise<void> {
    await this.#acting?.catch(() => {});
  }

  async #run(now: Look): Promise<void> {
    const changes = describeChanges(this.#taken, now);
    await this.#files.follow();
    const begun = this.#files.look();
    const result = await this.#act(changes, () => !isSame(this.#files.look(), begun));
    if (result !== "stale") this.#acted = begun;
    if (result === "taken") this.#taken = begun;
  }
}

const isSame = (one: Look, other: Look): boolean => describeChanges(one, other) === "";
