/** GitHub's signature (docs.github.com, "Validating webhook deliveries"): `X-Hub-Signature-256: sha256=<hex>`, of the body alone. */
import { HOLDS, headerOf, hmacOf, isSameText, type Verify } from "./webhook-signature.ts";

/** Makes the check of one secret. */
export const githubVerify =
  (secret: string): Verify =>
  (headers, rawBody) => {
    const given = headerOf(headers, "x-hub-signature-256");
    if (given === undefined) return undefined;
    return isSameText(given, `sha256=${hmacOf(secret, "", rawBody, "hex")}`) ? HOLDS : undefined;
  };
