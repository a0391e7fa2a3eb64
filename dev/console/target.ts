/** Finds the system that a console shows, as the other commands find it. */
import { CommandFailed } from "../operate/command-line.ts";
import { findIngest } from "../operate/find-ingest.ts";
import { findSupervisor, isStackMeant } from "../operate/find-supervisor.ts";
import { environmentOf } from "../operate/local-stack.ts";
import type { ConsoleTarget } from "./forward.ts";

/**
 * Throws a CommandFailed if there is no supervisor. Without an API key, no test event can be sent. Whatever is not the running
 * `spillway start` counts as production: nothing tells what an address in the environment serves.
 */
export async function targetOf({ prod, write }: Record<"prod" | "write", boolean>): Promise<ConsoleTarget> {
  const isProd = !isStackMeant({ prod });
  const supervisor = await findSupervisor({ prod });
  // An ingest of another system would take the test event.
  const isIngestKnown = prod || !isProd || environmentOf("SPILLWAY_URL") !== undefined;
  const ingest = isIngestKnown ? await ingestOf(prod) : undefined;
  return { supervisor, ingest, isProd, canWrite: !isProd || write };
}

const ingestOf = (prod: boolean): Promise<ConsoleTarget["ingest"]> =>
  findIngest({ prod }).catch((error: unknown) => {
    if (error instanceof CommandFailed) return undefined;
    throw error;
  });
