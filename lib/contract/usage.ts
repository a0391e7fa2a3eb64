/** The JSON of `GET /usage` and `GET /refusals`. Times are RFC 3339. A body may get further members later. */

/** The sums of one hour, key and stream; docs/operations.md says what is counted. */
export interface UsageHour {
  /** When the hour began. */
  hour: string;
  /** Null: requests without a known key. */
  key: string | null;
  /** Null: requests without a known stream. */
  stream: string | null;
  accepted: number;
  rejected: number;
  throttled: number;
  shed: number;
  bytes: number;
}

/** The use of ingest. */
export interface UsageReport {
  since: string;
  until: string;
  /** One for each hour, key and stream, the newest hour first. */
  hours: UsageHour[];
  /** Whether there is more than one answer takes; ask for less. */
  isCut: boolean;
}

/** Something that was refused. */
export interface RefusalReport {
  /** By the clock of the instance. */
  at: string;
  /** Null: there was no known key. */
  key: string | null;
  code: string;
  /** Names that the stream's schema does not declare are `*`. */
  path: string;
  message: string;
  requestId: string;
}

/** The last refusals of a stream, the newest first. */
export interface RefusalsReport {
  /** Null: those of requests that named no known stream, or showed no known key. */
  stream: string | null;
  refusals: RefusalReport[];
}
