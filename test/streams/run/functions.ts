/**
 * The two functions over streams of the tests' own, compiled to dist-test/: what end-to-end tests, the simulation and
 * the benchmark run. These streams and no others, because each stream costs every drain a look.
 */
import { serveFunctions } from "../../../functions/serve.ts";
import { registryOf } from "../../../lib/schema/registry.ts";
import activities from "../activities.ts";
import events from "../events.ts";
import leads from "../leads.ts";
import locations from "../locations.ts";
import positions from "../positions.ts";

await serveFunctions(registryOf([activities, events, leads, locations, positions]));
