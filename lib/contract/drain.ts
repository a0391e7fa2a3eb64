/** The JSON of `POST /drain`, which answers 200, or 503 if the worst outcome is one of the last two. A body may get further members later. */
export interface DrainBody {
  streams: readonly DrainedStream[];
  durationMs: number;
}

export interface DrainedStream {
  stream: string;
  batches: number;
  stored: number;
  /** Stored before. */
  duplicates: number;
  dead: number;
  /** What is left in the buffer; null: it is not known. */
  remaining: number | null;
  /** The worst of its partitions'. */
  outcome: "empty" | "short" | "deadline" | "held" | "unavailable" | "misconfigured";
}
