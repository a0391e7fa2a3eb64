/**
 * Standard Webhooks' signature (standardwebhooks.com), checked by its own library: `webhook-signature: v1,<base64> v1,<base64>`, of
 * `<webhook-id>.<webhook-timestamp>.` and the body. Other schemes (v1a) are not looked at.
 *
 * The library makes text of the body first, and all bytes that are not UTF-8 become the same character. So a body that is not UTF-8
 * is checked here, on its bytes.
 */
import { isUtf8 } from "node:buffer";
import { Webhook } from "standardwebhooks";
import { headerOf, hmacOf, isSameText, timelySeconds, type Verify } from "./webhook-signature.ts";

const PREFIX = "whsec_";

interface Signed {
  id: string;
  time: string;
  signatures: string;
  rawBody: Buffer;
}

/** Makes the check of one secret. Throws if it is not base64, with or without `whsec_` before it. */
export function standardVerify(secret: string): Verify {
  const webhook = new Webhook(secret);
  const key = Buffer.from(secret.startsWith(PREFIX) ? secret.slice(PREFIX.length) : secret, "base64");
  return (headers, rawBody, nowMs) => {
    const id = headerOf(headers, "webhook-id");
    const time = headerOf(headers, "webhook-timestamp");
    const signatures = headerOf(headers, "webhook-signature");
    if (!id || !time || !signatures || timelySeconds(time, nowMs) === undefined) return undefined;
    const signed = { id, time, signatures, rawBody };
    const holds = isUtf8(rawBody) ? holdsAsText(webhook, signed) : holdsAsBytes(key, signed);
    return holds ? { signedId: id } : undefined;
  };
}

function holdsAsText(webhook: Webhook, { id, time, signatures, rawBody }: Signed): boolean {
  const headers = { "webhook-id": id, "webhook-timestamp": time, "webhook-signature": signatures };
  try {
    webhook.verify(rawBody, headers, { jsonParse: false });
    return true;
  } catch {
    return false; // it throws for each signature that does not hold
  }
}

function holdsAsBytes(key: Buffer, { id, time, signatures, rawBody }: Signed): boolean {
  const expected = `v1,${hmacOf(key, `${id}.${time}.`, rawBody, "base64")}`;
  return signatures.split(" ").some((given) => isSameText(given, expected));
}
