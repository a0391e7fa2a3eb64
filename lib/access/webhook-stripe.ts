/**
 * Stripe's signature (docs.stripe.com, "Verify webhook signatures manually"): `Stripe-Signature: t=<time>,v1=<hex>,v1=<hex>`, of
 * `<time>.` and the body. While Stripe changes a secret, it signs with the old and the new one. Other schemes (v0) are not looked at.
 */
import { HOLDS, headerOf, hmacOf, isSameText, timelySeconds, type Verify } from "./webhook-signature.ts";

/** Makes the check of one secret. */
export const stripeVerify =
  (secret: string): Verify =>
  (headers, rawBody, nowMs) => {
    const parts = (headerOf(headers, "stripe-signature") ?? "").split(",").map((part) => part.trim());
    const [time, ...others] = valuesOf(parts, "t");
    if (others.length > 0 || timelySeconds(time, nowMs) === undefined) return undefined;
    const expected = hmacOf(secret, `${time}.`, rawBody, "hex");
    const holds = valuesOf(parts, "v1").some((given) => isSameText(given, expected));
    return holds ? HOLDS : undefined;
  };

const valuesOf = (parts: readonly string[], name: string): string[] =>
  parts.filter((part) => part.startsWith(`${name}=`)).map((part) => part.slice(name.length + 1));
