/** Ingest and supervisor over the streams of the pictures. */
import { serveFunctions } from "../../functions/serve.ts";
import { registryOf } from "../../lib/schema/registry.ts";
import { SHOP } from "./streams.ts";

await serveFunctions(registryOf(SHOP));
