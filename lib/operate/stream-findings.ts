/** What the doctor finds in the status: tables, letters, partitions that do not drain, versions, paused streams. */
import type { Finding } from "./finding.ts";
import { pauseFindings } from "./pause-findings.ts";
import type { StatusReport } from "./status.ts";

type StreamStatus = StatusReport["streams"][number];

/** Every check of a stream. */
const CHECKS = [tableDiffers, isStuck, lettersHeld, lettersDead, isUnreadable, pauseFindings];

export const streamFindings = ({ streams }: StatusReport): Finding[] =>
  streams.flatMap((stream) => CHECKS.flatMap((check) => check(stream)));

function tableDiffers({ stream, tableDifferences }: StreamStatus): Finding[] {
  if (!tableDifferences?.length) return [];
  return [
    {
      what: "table-differs",
      severity: "error",
      say: `the table of ${stream} is not as the stream declares it: ${tableDifferences.join("; ")}`,
      do: "apply the migrations, or change the declaration; what Postgres refuses meanwhile is kept",
    },
  ];
}

/** A partition whose last try ended with a reason. */
function isStuck({ stream, partitions }: StreamStatus): Finding[] {
  const stuck = partitions.filter(({ lastReason, crashes }) => lastReason !== null || crashes > 0);
  return stuck.map(({ partition, depth, lastReason, crashes }) => ({
    what: "partition-stuck",
    severity: "error",
    say: `partition ${partition} of ${stream} waits with ${depth} events: ${lastReason ?? `${crashes} drain calls died with its batch`}`,
    do: "mend the cause in the reason; the next tick takes the batch again, and nothing is lost meanwhile",
  }));
}

function lettersHeld({ stream, heldLetters, heldLettersReason }: StreamStatus): Finding[] {
  if (!heldLetters) return [];
  return [
    {
      what: "letters-held",
      severity: "warning",
      say: `${heldLetters} letters of ${stream} are held, most for: ${heldLettersReason}`,
      do: "mend the cause in the reason; they are tried again by themselves",
    },
  ];
}

function lettersDead({ stream, deadLetters }: StreamStatus): Finding[] {
  if (!deadLetters) return [];
  return [
    {
      what: "letters-dead",
      severity: "warning",
      say: `${deadLetters} events of ${stream} are dead letters`,
      do: "list them, mend their cause, and redrive or purge them",
    },
  ];
}

/** Data of a version that this release can't read. */
function isUnreadable({ stream, versions }: StreamStatus): Finding[] {
  const found = versions?.found.filter(({ state }) => state === "newer" || state === "dropped") ?? [];
  return found
    .filter(({ buffered, letters }) => buffered > 0 || (letters ?? 0) > 0)
    .map(({ v, state, buffered, letters }) => ({
      what: "version-unreadable",
      severity: "warning",
      say: `version ${v} of ${stream} is ${state === "newer" ? "newer than this release" : "dropped"}: ${buffered} events in the buffer and ${letters ?? "unknown"} letters have it`,
      do:
        state === "newer"
          ? "deploy the newer release of the supervisor"
          : "declare the version again, or purge its letters",
    }));
}
