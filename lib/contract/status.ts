/** The JSON of `GET /status`, and of the answers to pause and resume. A body may get further members later. */

export interface StatusReport {
  streams: {
    stream: string;
    pending: number;
    sealed: number;
    claimed: number;
    /** Age of the event received first, null if nothing waits. */
    oldestAgeSeconds: number | null;
    /** Whether it is not drained, for either reason. */
    isPaused: boolean;
    /** Since when, until when and by whom; null: it is drained. */
    paused: PauseReport | null;
    /** Null when Postgres does not answer, as the four that follow. */
    deadLetters: number | null;
    /** Letters that are tried again by themselves. */
    heldLetters: number | null;
    /** How long the oldest of them has been held; null if there is none. */
    heldLettersForSeconds: number | null;
    /** The reason that most of them have; null if there is none. */
    heldLettersReason: string | null;
    /** Why letters were not compared with the stream's table, so that some of them may be stored; null: they were, or not counted. */
    lettersNotCompared: string | null;
    /** How the table differs from what the stream declares, in sentences; null when Postgres does not answer. */
    tableDifferences: readonly string[] | null;
    /** The webhooks that came since counting began. Absent if the stream declares no source. */
    webhooks?: WebhookReport[];
    /** The versions of the data that waits. Absent if the stream has but one, and no other was found. */
    versions?: VersionsReport;
    partitions: {
      partition: number;
      depth: number;
      /** Seconds since the drain call that holds it began, null if none does. */
      heldForSeconds: number | null;
      /** Seconds since the batch in hand was first claimed, null if there is none. */
      batchAgeSeconds: number | null;
      crashes: number;
      lastSqlstate: string | null;
      lastReason: string | null;
    }[];
  }[];
}

/** The deliveries of one source. A killed instance's last ten seconds are missing. */
export interface WebhookReport {
  source: string;
  /** Those whose signature held. */
  good: number;
  /** When the last of them came, RFC 3339; null: none did. */
  lastGoodAt: string | null;
  /** Those whose signature did not hold. */
  failed: number;
  lastFailedAt: string | null;
}

/** The versions of what waits in a stream's buffer and in its letters. */
export interface VersionsReport {
  /** Events in the buffer, and how many of them were looked at: all, unless a list is long or its events are large. */
  waiting: number;
  lookedAt: number;
  /** Today's version, and each other that was found, in their order. */
  found: {
    v: number;
    state: "today" | "earlier" | "dropped" | "newer";
    /** Of those that were looked at. */
    buffered: number;
    /** Held or dead; null when Postgres does not answer. */
    letters: number | null;
  }[];
}

export interface PauseReport {
  /** RFC 3339. Null if it is not known, as the three that follow. */
  since: string | null;
  /** When it ends by itself; null: it has no end. */
  until: string | null;
  /** The e-mail of whoever paused it last; null: the supervisor does not know its callers. */
  by: string | null;
  why: string | null;
  /** Whether the stream is in DRAIN_PAUSED: then it is not drained before somebody changes that setting. */
  isInEnvironment: boolean;
}

export interface PauseAnswer {
  stream: string;
  paused: PauseReport | null;
  /** The pause that this one replaces: it now ends when `paused` says. */
  replaced: PauseReport | null;
  note: string;
}

export interface ResumeAnswer {
  stream: string;
  /** The pause that was ended; null: the stream was not paused. */
  ended: PauseReport | null;
  /** Not null: the stream is in DRAIN_PAUSED, and so it is not drained. */
  paused: PauseReport | null;
  note: string;
}
