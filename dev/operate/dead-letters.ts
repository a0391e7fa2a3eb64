/** `npm run dead-letters`, with the streams of lib/streams/. */
import { loadStreams } from "../../lib/schema/registry.ts";
import { runDeadLetters } from "./dead-letters-command.ts";

await runDeadLetters(loadStreams);
