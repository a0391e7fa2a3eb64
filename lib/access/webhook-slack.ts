/**
 * Slack's signature (docs.slack.dev, "Verifying requests from Slack"): `X-Slack-Signature: v0=<hex>`, of `v0:<time>:` and the body.
 * The time is X-Slack-Request-Timestamp, in seconds.
 */
import { HOLDS, headerOf, hmacOf, isSameText, timelySeconds, type Verify } from "./webhook-signature.ts";

/** Makes the check of one secret. */
export const slackVerify =
  (secret: string): Verify =>
  (headers, rawBody, nowMs) => {
    const given = headerOf(headers, "x-slack-signature");
    const time = headerOf(headers, "x-slack-request-timestamp");
    if (given === undefined || timelySeconds(time, nowMs) === undefined) return undefined;
    return isSameText(given, `v0=${hmacOf(secret, `v0:${time}:`, rawBody, "hex")}`) ? HOLDS : undefined;
  };
