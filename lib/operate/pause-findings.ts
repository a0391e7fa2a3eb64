/** What the doctor finds of paused streams. */
import type { Finding } from "./finding.ts";
import { sayPaused } from "./pause-report.ts";
import type { StatusReport } from "./status.ts";

/** A pause at run time is a warning, because it is easily forgotten; DRAIN_PAUSED is as somebody wanted it. */
export function pauseFindings({
  stream,
  paused,
  pending,
  sealed,
  claimed,
}: StatusReport["streams"][number]): Finding[] {
  if (paused === null) return [];
  return [
    {
      what: "stream-paused",
      severity: paused.isInEnvironment ? "info" : "warning",
      say: `${stream} ${sayPaused(paused)}, and ${pending + sealed + claimed} events wait`,
      do: paused.isInEnvironment
        ? "take it out of DRAIN_PAUSED when its events may be stored"
        : `when its events may be stored: spillway resume ${stream}`,
    },
  ];
}
