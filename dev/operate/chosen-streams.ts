/** The streams that a command writes about: all that senders may use, or those that `--streams` names. */
import type { Stream } from "../../lib/schema/stream.ts";
import type { Option } from "./command.ts";
import { UsageError } from "./command-line.ts";
import { suggestionFor } from "./nearest.ts";
import { loadYourStreams } from "./yours.ts";

export const streamsOption = {
  type: "string",
  value: "A,B",
  about: "only these streams, as a key that is limited to them sees it",
} as const satisfies Option;

/** Loads them. Throws a UsageError if there is no stream of a name. */
export async function loadChosenStreams(names: string | undefined): Promise<Stream[]> {
  const open = [...(await loadYourStreams()).values()].filter(({ retired }) => !retired);
  if (names === undefined) return open;
  return names.split(",").map((given) => find(open, given.trim()));
}

function find(open: readonly Stream[], name: string): Stream {
  const found = open.find((stream) => stream.name === name);
  if (found) return found;
  const known = open.map((stream) => stream.name);
  throw new UsageError(`there is no stream "${name}"${suggestionFor(name, known)}`);
}
