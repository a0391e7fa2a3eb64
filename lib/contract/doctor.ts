/** The JSON of `GET /doctor`, which `spillway doctor --json` prints. A body may get further members later. */

/**
 * `right`: it is as it should be. `wrong`: somebody has to act, now or soon. `unseen`: it can't be told from here, and `do` says where to
 * look.
 */
export type CheckResult = "right" | "wrong" | "unseen";

/** What a check found, in sentences without a secret, without a value of an event, and without a value of a query. */
export interface Finding {
  result: CheckResult;
  seen: string;
  means: string;
  do: string;
}

export interface CheckReport extends Finding {
  /** Names the check; stable. */
  check: string;
  group: "redis" | "postgres" | "spillway";
}

export interface DoctorReport {
  /** Every check, always, in a fixed order: by group, and within it from cause to effect. */
  checks: CheckReport[];
  durationMs: number;
}
