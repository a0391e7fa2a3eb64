/** Runs the bare client as a process, at Spillway's batch size and concurrency, and says what it achieved. */
import { startChild } from "../dev/load/children.ts";
import { reset } from "./conservation.ts";
import { costFigures } from "./figures.ts";
import { startMeters } from "./meters.ts";
import type { Figures } from "./results.ts";
import type { Stack } from "./stack.ts";
import type { BareJob } from "./targets/bare-client.ts";

export async function insertBare(
  stack: Stack,
  what: Pick<BareJob, "transport" | "kind" | "rows">,
): Promise<Figures> {
  await reset(stack);
  const { databaseUrl, neonHttpUrl } = stack;
  const job: BareJob = { ...what, batch: 100, concurrency: 8, databaseUrl, neonHttpUrl };
  const { process: child, pid } = startChild({
    file: "bench/targets/bare-client.ts",
    args: [JSON.stringify(job)],
    logFile: stack.logFile("bare-client"),
  });
  const nextMessage = () =>
    new Promise((resolve, reject) => {
      child.once("message", resolve);
      child.once("exit", (code) => reject(new Error(`the bare client ended early (${code})`)));
    });
  await nextMessage();
  const meters = await startMeters(stack, [pid]);
  const answer = nextMessage();
  child.send("go");
  const seconds = Number(await answer);
  const costs = await meters.read();
  await meters.stop();
  return { ...costFigures(costs, what.rows), storedPerSecond: what.rows / seconds };
}
