/**
 * Chooses the lines that `npm start` shows of the functions' structured logs: one line per drain, and warnings and errors in
 * readable form. Other entries are not shown.
 */
import type { StreamReport } from "../../lib/drain/drain-report.ts";

/** The line for people, or undefined if there is nothing to tell. */
export function describeLine(source: string, line: string, stream: "stdout" | "stderr"): string | undefined {
  const entry = parse(line);
  if (!entry) return stream === "stderr" && line.trim() !== "" ? `${clock()} ${source}: ${line}` : undefined;
  if (entry.event === "drain.finished") return `${clock()} ${describeDrain(entry)}`;
  if (entry.severity !== "WARNING" && entry.severity !== "ERROR") return undefined;
  const { severity, event, time: _time, message, ...fields } = entry;
  const details = Object.entries(fields).map(
    ([name, value]) => `${name}=${typeof value === "string" ? value : JSON.stringify(value)}`,
  );
  return `${clock()} ${source} ${severity === "ERROR" ? "error" : "warning"}: ${[event ?? message, ...details].join(" ")}`;
}

type Entry = Record<string, unknown> & { event?: string; severity?: string };

function parse(line: string): Entry | undefined {
  if (!line.startsWith("{")) return undefined;
  try {
    return JSON.parse(line) as Entry;
  } catch {
    return undefined;
  }
}

function describeDrain(entry: Entry): string {
  const reports = (Array.isArray(entry.streams) ? entry.streams : []) as StreamReport[];
  const worthTelling = reports.filter(
    ({ batches, remaining, outcome }) => batches > 0 || remaining !== 0 || outcome !== "empty",
  );
  const told = worthTelling.map(describeStream).join("; ");
  return `${entry.flush === true ? "flush" : "drain"}  ${told || "nothing waiting"}  (${Math.round(Number(entry.durationMs ?? 0))} ms)`;
}

function describeStream({
  stream,
  batches,
  stored,
  duplicates,
  differing,
  superseded,
  dead,
  remaining,
  outcome,
}: StreamReport): string {
  const parts = [
    `${stored} stored in ${batches} ${batches === 1 ? "batch" : "batches"}`,
    duplicates > 0 &&
      `${duplicates} there already${differing > 0 ? ` (${differing} with other content)` : ""}`,
    superseded > 0 && `${superseded} superseded`,
    dead > 0 && `${dead} to dead letters`,
    remaining !== 0 && `${remaining ?? "an unknown number"} left`,
    outcome !== "empty" && outcome,
  ];
  return `${stream}: ${parts.filter(Boolean).join(", ")}`;
}

function clock(): string {
  return new Date().toTimeString().slice(0, 8);
}
