// Loaded into a process with --import: on SIGUSR2 it writes the longest stall of the event loop since the last time, in
// milliseconds, to STALL_FILE. A stall is how much later than due a timer of one millisecond runs.
import { renameSync, writeFileSync } from "node:fs";
import { monitorEventLoopDelay } from "node:perf_hooks";

const delays = monitorEventLoopDelay({ resolution: 1 });
delays.enable();
process.on("SIGUSR2", () => {
  const file = process.env.STALL_FILE ?? "";
  writeFileSync(`${file}.new`, String(delays.max / 1e6));
  renameSync(`${file}.new`, file);
  delays.reset();
});
