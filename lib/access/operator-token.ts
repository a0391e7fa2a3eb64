/**
 * The operator token: who asks the supervisor where no platform has checked the caller has to show it, as `Authorization: Bearer TOKEN`.
 * The comparison takes the same time for each token: digests are compared, which are equally long.
 */
import { createHash, timingSafeEqual } from "node:crypto";

/** Makes the check of an Authorization header: whether it shows this token. */
export function operatorTokenCheck(token: string): (authorization: string | undefined) => boolean {
  const expected = digestOf(token);
  return (authorization = "") => {
    const [, shown] = /^bearer[ \t]+(\S+)[ \t]*$/i.exec(authorization) ?? [];
    return shown !== undefined && timingSafeEqual(digestOf(shown), expected);
  };
}

const digestOf = (text: string): Buffer => createHash("sha256").update(text).digest();
