/** Ingest and supervisor over the surge's own stream, as processes that live as long as a surge. */
import { serveFunctions } from "../../functions/serve.ts";
import { registryOf } from "../../lib/schema/registry.ts";
import { bufferedStream } from "./own-stream.ts";

await serveFunctions(registryOf([bufferedStream]));
