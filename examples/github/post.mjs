/**
 * Posts a delivery as GitHub does, to try a stream without GitHub. The file holds its body as JSON.
 * Usage: INGEST_URL=http://127.0.0.1:8080 GITHUB_WEBHOOK_SECRET=… node post.mjs EVENT FILE
 */
import { createHmac } from "node:crypto";
import { readFileSync } from "node:fs";

const [event = "push", file = ""] = process.argv.slice(2);
const { INGEST_URL, GITHUB_WEBHOOK_SECRET = "" } = process.env;
const body = readFileSync(file);
const signature = createHmac("sha256", GITHUB_WEBHOOK_SECRET).update(body).digest("hex"); // over the bytes as they are sent

const answer = await fetch(`${INGEST_URL}/v1/github_events/from/github`, {
  method: "POST",
  headers: {
    "content-type": "application/json",
    "x-github-event": event,
    "x-hub-signature-256": `sha256=${signature}`,
  },
  body,
});
console.log(answer.status, await answer.text());
process.exitCode = answer.ok ? 0 : 1;
