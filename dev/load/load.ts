/** Runs the load generator as a process and hands back what it measured. */
import { fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { Histogram } from "./histogram.ts";
import type { LoadJob, LoadResult } from "./load-job.ts";

export interface Load extends Omit<LoadResult, "latencies"> {
  latencies: Histogram;
}

/** Puts a load on a port until its phases are over. Rejects when the generator dies. */
export function runLoad(job: Partial<LoadJob> & Pick<LoadJob, "port" | "phases">): Promise<Load> {
  const child = fork(fileURLToPath(new URL("load-generator.ts", import.meta.url)), {
    execArgv: ["--import", "tsx", "--max-semi-space-size=32"],
  });
  return new Promise((resolve, reject) => {
    child.once("message", (result: LoadResult) => {
      resolve({ ...result, latencies: new Histogram(result.latencies) });
    });
    child.once("exit", (code) => reject(new Error(`the load generator ended early (${code})`)));
    child.send({
      apiKey: "",
      kind: "mixed",
      perPost: 1,
      connections: 64,
      warmupSeconds: 1,
      timeoutMs: 10_000,
      ...job,
    } satisfies LoadJob);
  });
}
