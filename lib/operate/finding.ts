/** What the doctor finds: one thing that somebody should know or do. */
export interface Finding {
  /** Names the check; stable. */
  what: string;
  /** `error`: something does not work. `warning`: it will not, or is probably not meant. `info`: it is as somebody wanted it. */
  severity: "error" | "warning" | "info";
  say: string;
  do: string;
}
