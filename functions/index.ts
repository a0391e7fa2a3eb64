/** The entry point of a deployment: serves a function with the streams of lib/streams/. */
import { loadStreams } from "../lib/schema/registry.ts";
import { serveFunctions } from "./serve.ts";

await serveFunctions(await loadStreams());
