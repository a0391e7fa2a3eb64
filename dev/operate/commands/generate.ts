/** `spillway generate`: writes the types of your streams' events, for a client in any repository. No server is asked. */
import { loadChosenStreams, streamsOption } from "../chosen-streams.ts";
import { action } from "../command.ts";
import { streamsFile } from "../generate/streams-file.ts";
import { writeOut } from "../write-out.ts";

export default action({
  about: "Writes the TypeScript types of your streams' events to a file or to standard output.",
  words: "[FILE]",
  wordsMax: 1,
  options: { streams: streamsOption },
  notes:
    "The file imports nothing: copy it to where the sender is, and write createClient<Streams>(…). Retired streams are not in it.",
  async run({ values, words: [file] }) {
    writeOut(file, streamsFile(await loadChosenStreams(values.streams)));
    return 0;
  },
});
