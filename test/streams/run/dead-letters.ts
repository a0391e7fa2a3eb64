/** `npm run dead-letters`, over the streams of test/streams/. */
import { runDeadLetters } from "../../../dev/operate/dead-letters-command.ts";
import { loadTestStreams } from "./test-streams.ts";

await runDeadLetters(loadTestStreams);
