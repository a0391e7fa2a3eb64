/** Finds ingest and an API key, for `spillway send`: those of the deployed system, of the environment, or of a running stack. */
import { CommandFailed } from "./command-line.ts";
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

async function deployedUrl(): Promise<string> {
  const { openDeployed } = await import("./deployed.ts");
  return (await openDeployed()).ingestUrl;
}

const withoutSlash = (url: string): string => url.replace(/\/+$/, "");
