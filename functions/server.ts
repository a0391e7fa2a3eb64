/** What an installation's own entry point calls: `spillway/server`. */
import { loadStreams } from "../lib/schema/registry.ts";
import { serveFunctions } from "./serve.ts";

/**
 * Serves the streams of this folder, by what the process was started for (`--target=ingest`, `--target=supervisor`, or `--target=all` for both
 * outside Cloud Run). Await it at the top of the module that functions-framework loads, once in a process. Throws one sentence if a file of the
 * folder declares no stream.
 *
 * @example
 * await serve(new URL("./streams/", import.meta.url));
 */
export async function serve(streamsFolder: URL): Promise<void> {
  await serveFunctions(await loadStreams(streamsFolder));
}
