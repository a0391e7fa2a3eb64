/** Finds ingest and an API key, for `spillway send`: those of the deployed system, of the environment, or of a running stack. */
import { CommandFailed } from "./command-line.ts";
import { ownDeployed } from "./find-supervisor.ts";
import { environmentOf, readStack } from "./local-stack.ts";

export interface Ingest {
  url: string;
  apiKey: string;
}

/** Throws a CommandFailed that says what to set. SPILLWAY_API_KEY is the key; a running stack has one of its own. */
export async function findIngest({ prod = false }: { prod?: boolean | undefined }): Promise<Ingest> {
  const apiKey = environmentOf("SPILLWAY_API_KEY");
  const url = prod ? await deployedUrl() : environmentOf("SPILLWAY_URL");
  if (url === undefined) {
    const stack = readStack("SPILLWAY_URL and SPILLWAY_API_KEY");
    return { url: withoutSlash(String(stack.ingestUrl)), apiKey: apiKey ?? String(stack.apiKey) };
  }
  if (apiKey === undefined)
    throw new CommandFailed(
      "expected an API key in SPILLWAY_API_KEY; npx spillway keys create NAME --prod makes one.",
    );
  return { url: withoutSlash(url), apiKey };
}

/** The supervisor of an installation of one's own does not know where its ingest is. */
async function deployedUrl(): Promise<string> {
  if (ownDeployed() !== undefined) {
    const url = environmentOf("SPILLWAY_URL");
    if (url !== undefined) return url;
    throw new CommandFailed(
      "expected ingest's URL in SPILLWAY_URL, beside SUPERVISOR_URL and OPERATOR_TOKEN.",
    );
  }
  const { openDeployed } = await import("./deployed.ts");
  return (await openDeployed()).ingestUrl;
}

const withoutSlash = (url: string): string => url.replace(/\/+$/, "");
