/** Prints a scenario's medians as a table, with the columns that were measured there. */
import { medianOf, type Row } from "./results.ts";

/** Figure, heading, decimals. In this order. */
const columns: [string, string, number][] = [
  ["requestsPerSecond", "requests/s", 0],
  ["eventsPerSecond", "events/s in", 0],
  ["p50Ms", "p50 ms", 1],
  ["p99Ms", "p99 ms", 1],
  ["errors", "errors", 0],
  ["functionCpuMicrosPerRequest", "CPU µs/req", 0],
  ["storedPerSecond", "events/s stored", 0],
  ["batchMs", "ms a batch", 2],
  ["drainMs", "drain call ms", 0],
  ["refused", "refused", 0],
  ["lagP50Ms", "lag p50 ms", 0],
  ["lagP99Ms", "lag p99 ms", 0],
  ["peakConnections", "PG conns", 0],
  ["transactionsPerMillion", "PG tx/M", 0],
  ["rowsPerBatch", "rows/batch", 1],
  ["postgresCpuPerMillion", "PG CPU s/M", 1],
  ["walBytesPerEvent", "WAL B/ev", 0],
  ["pushCommandsPerEvent", "push cmd/ev", 3],
  ["drainCommandsPerEvent", "drain cmd/ev", 3],
  ["redisCommandsPerEvent", "cmd/ev", 3],
  ["redisDollarsPerMillion", "Redis $/M", 2],
  ["functionCpuPerMillion", "fn CPU s/M", 0],
  ["redisCpuPerMillion", "Redis CPU s/M", 0],
  ["bridgeCpuPerMillion", "bridge CPU s/M", 0],
  ["viewersCpuPerMillion", "viewers CPU s/M", 1],
  ["redisCommandsPerSecond", "cmd/s", 2],
  ["postgresQueriesPerSecond", "PG queries/s", 2],
  ["answered2xx", "2xx", 0],
  ["answered4xx", "4xx", 0],
  ["answered5xx", "5xx", 0],
  ["stallMs", "stall ms", 0],
  ["peakMemoryMb", "MB", 0],
  ["extraMemoryMb", "MB more", 0],
  ["idleCommandsPerMonth", "idle cmd/month", 0],
  ["commandsPerMonth", "cmd/month", 0],
  ["cpuSecondsPerMonth", "CPU s/month", 0],
  ["cloudRunDollars", "Cloud Run $", 2],
  ["tasksDollars", "Tasks $", 2],
  ["redisDollars", "Upstash $", 2],
  ["postgresDollars", "Neon $", 2],
  ["monthDollars", "$ a month", 2],
  ["lost", "lost", 0],
];

/** A scenario as lines of text, in Markdown, so that they can be pasted. */
export function tableOf(rows: readonly Row[]): string {
  const shown = columns.filter(([figure]) => rows.some((row) => medianOf(row, figure) !== undefined));
  const lines = [
    ["", ...shown.map(([, heading]) => heading)],
    ["---", ...shown.map(() => "---:")],
    ...rows.map((row) => [
      row.name,
      ...shown.map(([figure, , decimals]) => cell(medianOf(row, figure), decimals)),
    ]),
  ];
  const widths = lines[0]?.map((_, i) => Math.max(...lines.map((line) => line[i]?.length ?? 0))) ?? [];
  return lines
    .map((line) => `| ${line.map((text, i) => pad(text, widths[i] ?? 0, i)).join(" | ")} |`)
    .join("\n");
}

const pad = (text: string, width: number, column: number) =>
  column === 0 ? text.padEnd(width) : text.padStart(width);

const cell = (value: number | undefined, decimals: number): string =>
  value === undefined
    ? ""
    : value.toLocaleString("en", { minimumFractionDigits: decimals, maximumFractionDigits: decimals });
