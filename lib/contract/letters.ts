/** The JSON of `GET /dead-letters`, of a redrive, of its dry run and of a purge. Times are RFC 3339. A body may get further members later. */

/** Letters that died alike. */
export interface LetterGroup {
  stream: string;
  /** Null: it was not Postgres that refused them. */
  sqlstate: string | null;
  reason: string;
  /** They are tried again by themselves, because nothing proves yet that they are at fault. */
  isHeld: boolean;
  letters: number;
  /** Those that need attention: not redriven, and not stored since. */
  live: number;
  firstDiedAt: string;
  lastDiedAt: string;
  exampleId: string;
  /** Why they were not compared with their stream's table, so that some may be stored; null: they were. */
  notCompared: string | null;
}

/** Letters that were not compared with their stream's table, and why. */
export interface NotCompared {
  stream: string;
  why: string;
}

/** `GET /dead-letters`. */
export interface LetterGroups {
  total: number;
  live: number;
  notCompared: readonly NotCompared[];
  /** The largest first. */
  groups: readonly LetterGroup[];
}

/** A letter as it is listed, without its event. */
export interface ListedLetter {
  stream: string;
  id: string;
  sqlstate: string | null;
  reason: string;
  burials: number;
  receivedAt: string | null;
  diedAt: string;
  redrivenAt: string | null;
  isLive: boolean;
  /** When it is tried again by itself; null: it is not. */
  retryAt: string | null;
}

/** `GET /dead-letters?each=1`. */
export interface LetterPage {
  letters: readonly ListedLetter[];
  notCompared: readonly NotCompared[];
  /** Sent again as `cursor`, it goes on; null: these were the last. */
  next: string | null;
}

/** A letter with its event, as the buffer holds it. */
export interface ShownLetter extends ListedLetter {
  envelope: string;
  notCompared: string | null;
}

/** `GET /dead-letters/{id}`. */
export interface ShownLetters {
  letters: readonly ShownLetter[];
}

/** A letter that can't be redriven. */
export interface SkippedLetter {
  stream: string;
  id: string;
  why: string;
}

/** `POST /dead-letters/redrive`. */
export interface RedriveAnswer {
  redriven: number;
  /** Pushed, and not marked, because they had died again or were purged by then. */
  changed: number;
  skipped: number;
  /** The first hundred of `skipped`. */
  skippedLetters: SkippedLetter[];
  /** Why it ended early, in a sentence. */
  stopped: string | null;
  /** The `cursor` with which to go on, because the time was up. */
  next: string | null;
}

/** Letters that would die alike. */
export interface TrialGroup {
  letters: number;
  stream: string;
  sqlstate: string | null;
  reason: string;
  exampleId: string;
}

/** The same with `dryRun`. */
export interface TrialAnswer extends Pick<RedriveAnswer, "skipped" | "skippedLetters" | "stopped" | "next"> {
  stored: number;
  refused: number;
  /** Stored already. */
  there: number;
  /** They would be stored under another key, because a trigger changes it. */
  otherKey: number;
  groups: TrialGroup[];
}

/** `POST /dead-letters/purge`: how many letters were deleted, or would be, and how many of them were live. */
export interface LetterCount {
  letters: number;
  live: number;
  notCompared: readonly NotCompared[];
}
