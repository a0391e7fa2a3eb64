/**
 * Finds the key that a request presents. It may come in four ways:
 *   Authorization: Bearer KEY · X-API-Key: KEY · Authorization: Basic base64(ANY:KEY), or base64(KEY:) · ?key=KEY, for public keys only.
 * No way has precedence: a request may present one key, as often as it likes. Two different keys are refused, because a guess may charge the
 * wrong one. What holds no key (another scheme, an empty value) counts as absent; so does, beside a key in a header, a `key` in
 * the query that is neither that key nor has our prefix: it is a parameter of somebody else.
 */
import { claimedKind } from "./key-format.ts";

/** Why a request presents no key that can be looked up. The detail repeats nothing that the sender sent. */
export interface KeyRefusal {
  code: "missing-key" | "unknown-key";
  detail: string;
}

const MISSING: KeyRefusal = {
  code: "missing-key",
  detail:
    "expected a key, in Authorization: Bearer KEY, in X-API-Key: KEY, or as the password of Authorization: Basic",
};
const UNREADABLE: KeyRefusal = {
  code: "missing-key",
  detail: "found no key in Authorization: expected Bearer KEY, or Basic with USER:KEY in base64",
};
const SEVERAL: KeyRefusal = { code: "unknown-key", detail: "expected one key, got two different ones" };
const LEAKED: KeyRefusal = {
  code: "unknown-key",
  detail:
    "expected a public key in ?key=, which begins with spw_pub_; a secret key belongs in a header: consider one that was in a URL leaked, and rotate it",
};

/**
 * Returns the one key of a request, or why it has none. `rawHeaders` are names and values in turn, as they came: of several
 * Authorization headers Node keeps the first only.
 */
export function presentedKey(rawHeaders: readonly string[], query: URLSearchParams): string | KeyRefusal {
  let found: string | undefined;
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const key = keyInHeader(rawHeaders[i] as string, rawHeaders[i + 1] as string);
    if (key === undefined || key === found) continue;
    if (found !== undefined) return SEVERAL;
    found = key;
  }
  if (query.size > 0 && query.has("key"))
    return withQuery(found, query.getAll("key")) ?? missingIn(rawHeaders);
  return found ?? missingIn(rawHeaders);
}

const isAuthorization = (name: string) => name.length === 13 && name.toLowerCase() === "authorization";

function keyInHeader(name: string, value: string): string | undefined {
  if (isAuthorization(name)) return keyInAuthorization(value);
  if (name.length === 9 && name.toLowerCase() === "x-api-key") return /^[ \t]*(\S+)[ \t]*$/.exec(value)?.[1];
  return undefined;
}

function keyInAuthorization(value: string): string | undefined {
  const bearer = /^bearer[ \t]+(\S+)[ \t]*$/i.exec(value);
  if (bearer !== null) return bearer[1];
  const basic = /^basic[ \t]+([A-Za-z0-9+/]+={0,2})[ \t]*$/i.exec(value)?.[1];
  return basic === undefined ? undefined : keyInBasic(basic);
}

/** The password of Basic (RFC 7617, in UTF-8); if that is empty, the user name. */
function keyInBasic(credentials: string): string | undefined {
  const [, user, password] = /^([^:]*):(.*)$/s.exec(Buffer.from(credentials, "base64").toString()) ?? [];
  return password || user || undefined;
}

/** The key of a request whose headers hold `found`; undefined: it has none. */
function withQuery(found: string | undefined, values: readonly string[]): string | KeyRefusal | undefined {
  let one = found;
  for (const value of values) {
    const key = value.trim();
    const kind = claimedKind(key);
    const isOurs = kind !== undefined || found === undefined || key === found;
    if (key === "" || !isOurs) continue;
    if (kind !== "public") return LEAKED;
    if (one !== undefined && one !== key) return SEVERAL;
    one = key;
  }
  return one;
}

const missingIn = (rawHeaders: readonly string[]): KeyRefusal =>
  rawHeaders.some((name, i) => i % 2 === 0 && isAuthorization(name) && rawHeaders[i + 1] !== "")
    ? UNREADABLE
    : MISSING;
