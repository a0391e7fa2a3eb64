/**
 * The tokens of the rehearsal's cloud. An access token is a name that only this process knows; an identity token has the form of
 * Google's, so that the supervisor can read its caller, and a signature that only this process can make.
 */
import { createHmac, randomBytes } from "node:crypto";

const SECRET = randomBytes(32);

const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
const sign = (text: string) => createHmac("sha256", SECRET).update(text).digest("base64url");

export class Credentials {
  readonly #emails = new Map<string, string>();

  accessToken(email: string): string {
    const token = `ya29.${randomBytes(16).toString("hex")}`;
    this.#emails.set(token, email);
    return token;
  }

  /** Whose access token this is; undefined: nobody's. */
  callerOf(authorization: string | undefined): string | undefined {
    return this.#emails.get(authorization?.replace(/^Bearer /, "") ?? "");
  }

  idToken(email: string, audience: string): string {
    const text = `${encode({ alg: "RS256" })}.${encode({ aud: audience, email, email_verified: true })}`;
    return `${text}.${sign(text)}`;
  }

  /** Returns the e-mail of a good identity token for this audience. */
  emailOf(authorization: string | undefined, audience: string): string | undefined {
    const [, text = "", payload = "", signature] =
      /^Bearer ([\w-]+\.([\w-]+))\.([\w-]+)$/.exec(authorization ?? "") ?? [];
    if (signature !== sign(text)) return undefined;
    const claims = JSON.parse(Buffer.from(payload, "base64url").toString()) as Record<string, string>;
    return claims.aud === audience ? claims.email : undefined;
  }
}

/** As Cloud Run hands a token on. */
export const withoutSignature = (authorization: string): string =>
  authorization.replace(/\.[\w-]+$/, ".SIGNATURE_REMOVED_BY_GOOGLE");
