/**
 * Notices that files have changed, and acts once a moment has passed in which they did not. What changes while it acts is noticed
 * afterwards, so the last state is acted on always, however the saves follow each other.
 */
import { describeChanges, type Look } from "./watched-files.ts";

/** Acts on a change. `isStale` says whether the files have changed again. Returns false if it gave up because of that. */
export type Act = (changes: string, isStale: () => boolean) => Promise<boolean>;

interface Files {
  look(): Look;
  /** Finds out anew which files to look at. */
  follow(): Promise<void>;
}

export class ChangeWatch {
  readonly #files: Files;
  readonly #act: Act;
  /** The files as they were when they were last acted on. */
  #acted: Look;
  #last: Look;
  #acting: Promise<void> | undefined;

  /** `acted`: the files as they are acted on already. */
  constructor(files: Files, acted: Look, act: Act) {
    this.#files = files;
    this.#act = act;
    this.#acted = acted;
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
    const changes = describeChanges(this.#acted, now);
    await this.#files.follow();
    const begun = this.#files.look();
    const isDone = await this.#act(changes, () => !isSame(this.#files.look(), begun));
    if (isDone) this.#acted = begun;
  }
}

const isSame = (one: Look, other: Look): boolean => describeChanges(one, other) === "";
