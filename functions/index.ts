/** The entry point that is deployed: both functions, over the streams of lib/streams/. */
import { loadStreams } from "../lib/schema/registry.ts";
import { serveFunctions } from "./serve.ts";

await serveFunctions(await loadStreams());
