/** Finds the system that a console shows, as the other commands find it. */

import { CommandFailed } from "../operate/command-line.ts";
import { findIngest } from "../operate/find-ingest.ts";
import { findSupervisor } from "../operate/find-supervisor.ts";
import type { ConsoleTarget } from "./forward.ts";

/** Throws a CommandFailed if there is no supervisor. Without an API key, no test event can be sent. */
export async function targetOf({
  isProd,
  canWrite,
}: Pick<ConsoleTarget, "isProd" | "canWrite">): Promise<ConsoleTarget> {
  const supervisor = await findSupervisor({ prod: isProd });
  const ingest = await findIngest({ prod: isProd }).catch((error: unknown) => {
    if (error instanceof CommandFailed) return undefined;
    throw error;
  });
  return { supervisor, ingest, isProd, canWrite };
}
