/** `npm run webhook`, over the streams of test/streams/. */
import { runWebhook } from "../../../dev/operate/webhook-command.ts";
import { loadTestStreams } from "./test-streams.ts";

await runWebhook(loadTestStreams);
