/** `npm run webhook`, with the streams of lib/streams/. */
import { loadStreams } from "../../lib/schema/registry.ts";
import { runWebhook } from "./webhook-command.ts";

await runWebhook(loadStreams);
