/**
 * How the commands reach the supervisor: that of the deployed system (`--prod`), that of SUPERVISOR_URL, one of the command's own if
 * the environment names Redis and Postgres, or that of a running `spillway start`. On Cloud Run a command needs no secret of the system; a
 * system of one's own is asked at SUPERVISOR_URL with its OPERATOR_TOKEN.
 */
import { type Supervisor, supervisorAt } from "./ask-supervisor.ts";
import { environmentOf, hasPlaces, readStack } from "./local-stack.ts";

/** The options of a command that asks the supervisor. */
export const supervisorOptions = {
  prod: {
    type: "boolean",
    about:
      "ask the deployed system: that of SUPERVISOR_URL and OPERATOR_TOKEN, or the one that terraform and gcloud know",
  },
} as const;

/** Whether the running `spillway start` is meant, and nothing else. */
export const isStackMeant = ({ prod = false }: { prod?: boolean | undefined }): boolean =>
  !prod && environmentOf("SUPERVISOR_URL") === undefined && !hasPlaces();

/** The supervisor of an installation of one's own, which wants its operator token; undefined: the environment does not name both. */
export function ownDeployed(): Supervisor | undefined {
  const url = environmentOf("SUPERVISOR_URL");
  const token = environmentOf("OPERATOR_TOKEN");
  return url === undefined || token === undefined ? undefined : supervisorAt(url, async () => token);
}

/** Finds the supervisor that is meant. Throws a CommandFailed if there is none. */
export async function findSupervisor({ prod = false }: { prod?: boolean | undefined }): Promise<Supervisor> {
  const own = ownDeployed();
  if (own !== undefined) return own;
  if (prod) {
    const { openDeployed } = await import("./deployed.ts");
    return (await openDeployed()).supervisor;
  }
  const url = environmentOf("SUPERVISOR_URL");
  if (url === undefined && hasPlaces()) {
    const { openOwnSupervisor } = await import("./own-supervisor.ts");
    return openOwnSupervisor();
  }
  const idToken = url === undefined ? undefined : environmentOf("SUPERVISOR_ID_TOKEN");
  return supervisorAt(url ?? String(readStack("SUPERVISOR_URL").supervisorUrl), async () => idToken);
}
