/** Runs the load generator as a process and hands back what it measured. */
import { fork } from "node:child_process";
import { ownModule } from "../stack/package-files.ts";
import { loaderFor } from "./children.ts";
import { Histogram } from "./histogram.ts";
import type { LoadJob, LoadResult, LoadTick } from "./load-job.ts";

export interface Load extends Omit<LoadResult, "latencies"> {
  latencies: Histogram;
}

export interface LoadWatch {
  /** Called each second, and once more after the last answer. */
  onTick?: (tick: LoadTick) => void;
  /** Stops an open loop: the answers on their way are still awaited. */
  signal?: AbortSignal;
}

/** Puts a load on a port until its phases are over, or it is stopped. Rejects when the generator dies. */
export function runLoad(
  job: Partial<LoadJob> & Pick<LoadJob, "port" | "phases">,
  { onTick, signal }: LoadWatch = {},
): Promise<Load> {
  const generator = ownModule("dev/load/load-generator.ts");
  const child = fork(generator, {
    execArgv: [...loaderFor(generator), "--max-semi-space-size=32"],
    detached: true, // Ctrl-C is for whoever started it; it ends when that has ended
  });
  const stop = () => void (child.connected && child.send("stop"));
  const measured = new Promise<Load>((resolve, reject) => {
    child.on("message", (message: LoadResult | { tick: LoadTick }) => {
      if ("tick" in message) onTick?.(message.tick);
      else resolve({ ...message, latencies: new Histogram(message.latencies) });
    });
    child.once("exit", (code) => reject(new Error(`the load generator ended early (${code})`)));
    child.send({
      apiKey: "",
      kind: "mixed",
      perPost: 1,
      connections: 64,
      warmupSeconds: 1,
      timeoutMs: 10_000,
      ticks: onTick !== undefined,
      ...job,
    } satisfies LoadJob);
  });
  if (signal?.aborted) stop();
  signal?.addEventListener("abort", stop);
  return measured.finally(() => signal?.removeEventListener("abort", stop));
}
