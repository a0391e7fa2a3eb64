/** Shopify's signature (shopify.dev, "Verify the origin of the webhook"): `X-Shopify-Hmac-SHA256: <base64>`, of the body alone. */
import { HOLDS, headerOf, hmacOf, isSameText, type Verify } from "./webhook-signature.ts";

/** Makes the check of one secret. */
export const shopifyVerify =
  (secret: string): Verify =>
  (headers, rawBody) => {
    const given = headerOf(headers, "x-shopify-hmac-sha256");
    if (given === undefined) return undefined;
    return isSameText(given, hmacOf(secret, "", rawBody, "base64")) ? HOLDS : undefined;
  };
