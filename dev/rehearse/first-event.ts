/** The event that the rehearsal posts. */
import { pathToFileURL } from "node:url";
import { findInstallation } from "../../lib/installation.ts";
import { exampleOf } from "../../lib/schema/example.ts";
import { loadStreams } from "../../lib/schema/registry.ts";

/** A stream of the deployer's whose events may be buffered, and an event of it; undefined: there is none. */
export async function firstEvent() {
  for (const stream of (await loadStreams(pathToFileURL(findInstallation().streams))).values()) {
    const event = exampleOf(stream);
    if (!stream.retired && stream.ack === "buffered" && event) return { stream: stream.name, event };
  }
  return undefined;
}
