/** Finds the API key of a request, or answers 401. */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { ExpiringKeys } from "../lib/access/expiring-keys.ts";
import { claimedKind, isWellFormed } from "../lib/access/key-format.ts";
import type { FoundKey, Keyring, NoKey } from "../lib/access/keyring.ts";
import { type KeyRefusal, presentedKey } from "../lib/access/present-key.ts";
import { headerNames } from "../lib/contract/header-names.ts";
import { Problem, tryAgain } from "./answer.ts";

const MISTYPED: KeyRefusal = {
  code: "unknown-key",
  detail: "the key is mistyped or cut off: its checksum does not fit",
};
const UNKNOWN: KeyRefusal = { code: "unknown-key", detail: "the key is not known here" };
const NOT_SECRET: KeyRefusal = {
  code: "unknown-key",
  detail:
    "the key is public by its prefix, and the record of it is that of a secret one: make public keys with `spillway keys create --public`",
};

export interface KeyDeps {
  keyring: Pick<Keyring, "find" | "findAgain">;
  expiring: ExpiringKeys;
}

/**
 * Finds the API key that a request presents, and says in the answer if it expires soon. Throws a 401 without one, and a 503 if no server
 * can tell. If the key is not confirmed yet, `confirm` has to be awaited before anything is accepted or answered.
 */
export function keyOf(
  deps: KeyDeps,
  req: IncomingMessage,
  res: ServerResponse,
  query: URLSearchParams,
): FoundKey | Promise<FoundKey> {
  const presented = presentedKey(req.rawHeaders, query);
  if (typeof presented === "object") throw unauthorized(presented);
  const found = deps.keyring.find(presented);
  if (found instanceof Promise) return found.then((later) => usable(deps, res, later, presented));
  return usable(deps, res, found, presented);
}

/** Waits for the newest copy of the keys. Throws a 401 if the key is no more. */
export async function confirm(deps: KeyDeps, confirmed: Promise<FoundKey | NoKey>): Promise<void> {
  refuseNoKey(deps, await confirmed);
}

/**
 * Looks at a key once more when its request's body is here, which may have taken long. Throws a 401 if the key is no more. Returns a
 * promise only if the servers have to be asked.
 */
export function confirmAgain(deps: KeyDeps, found: FoundKey): Promise<void> | undefined {
  if (found.confirmed) return confirm(deps, found.confirmed).then(() => findAgain(deps, found));
  return findAgain(deps, found);
}

function findAgain(deps: KeyDeps, found: FoundKey): Promise<void> | undefined {
  const again = deps.keyring.findAgain(found);
  if (again instanceof Promise) return confirm(deps, again);
  refuseNoKey(deps, again);
  return undefined;
}

function refuseNoKey({ expiring }: KeyDeps, found: FoundKey | NoKey): void {
  if (typeof found === "string") throw found === "away" ? AWAY() : unauthorized(UNKNOWN);
  if (found.key.expiresAt !== undefined && expiring.isExpired(found)) throw expired(found);
}

/** Throws unless the key may be used. */
function usable(
  { expiring }: KeyDeps,
  res: ServerResponse,
  found: FoundKey | NoKey,
  presented: string,
): FoundKey {
  const claimed = claimedKind(presented);
  if (found === "away") throw AWAY();
  if (found === "unknown")
    throw unauthorized(claimed === undefined || isWellFormed(presented) ? UNKNOWN : MISTYPED);
  // Everybody may have it, so the rights of a secret key are not its own.
  if (claimed === "public" && found.key.kind === "secret") throw unauthorized(NOT_SECRET);
  if (found.key.expiresAt === undefined) return found;
  if (expiring.isExpired(found)) throw expired(found);
  if (expiring.expiresSoon(found)) res.setHeader(headerNames.keyExpires, found.key.expiresAt);
  return found;
}

const AWAY = () =>
  tryAgain(
    "keys-away",
    "nobody can say now whether this key is known, because Redis does not answer; nothing was kept",
  );

const expired = ({ key }: FoundKey): Problem =>
  unauthorized({ code: "expired-key", detail: `the key expired at ${key.expiresAt}` });

const SCHEMES = 'Bearer realm="spillway", Basic realm="spillway", charset="UTF-8"';

const unauthorized = ({
  code,
  detail,
}: {
  code: KeyRefusal["code"] | "expired-key";
  detail: string;
}): Problem => new Problem(code, detail, {}, { "www-authenticate": SCHEMES });
