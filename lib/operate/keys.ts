/**
 * Keys by command: create, list, rotate, revoke. Each change is written to Postgres, and then to the copy in Redis in the same step. A
 * change that could not be copied counts all the same: the next drain that stores something mends the copy.
 *
 * Only create and rotate know the key itself, and they return it once. It is in no log and in no table.
 */
import { hash } from "node:crypto";
import type { KeyCopy } from "../buffer/key-copy.ts";
import { isOfRedis } from "../buffer/redis-errors.ts";
import type { ApiKey } from "../config.ts";
import type { MadeKey, RevokedKey } from "../contract/keys.ts";
import type { KeySet } from "../key-set.ts";
import type { Log } from "../log.ts";
import type { Registry } from "../schema/registry.ts";
import type { KeyRow, KeyStore } from "../store/key-store.ts";

export interface KeyDeps {
  keys: Pick<KeyStore, "create" | "list" | "revoke" | "rotate">;
  keyCopy: Pick<KeyCopy, "lacks">;
  /** Replaces the copy by what Postgres has. Throws Postgres's errors only. */
  renewKeyCopy(): Promise<{ set: KeySet; isCopied: boolean }>;
  /** Makes the text of a new key. */
  newKey(kind: ApiKey["kind"]): string;
  streams: Registry;
  /** The names of the environment's keys, as far as this process knows them. */
  environmentNames: ReadonlySet<string>;
  log: Log;
}

/** A key to be made. */
export interface CreateKey {
  name: string;
  kind: ApiKey["kind"];
  /** Undefined: all. */
  streams: readonly string[] | undefined;
  eventsPerSecond: number | undefined;
  perAddressPerSecond: number | undefined;
  origins: readonly string[];
  /** Undefined: it never expires. */
  expiresInSeconds: number | undefined;
}

export interface RotateKey {
  name: string;
  /** How long the old keys are valid beside the new one. */
  overlapSeconds: number;
  /** Undefined: the new key lives as long as the old one was made to. */
  expiresInSeconds: number | undefined;
}

/** Why a command on a key is not done; the message is for people. */
export class KeyRefused extends Error {
  override name = "KeyRefused";
  readonly why: "unknown-name" | "name-taken" | "too-many-keys" | "impossible";

  constructor(why: KeyRefused["why"], message: string) {
    super(message);
    this.why = why;
  }
}

/** Makes a key. Throws KeyRefused, or what the store throws. Not to be repeated blindly: if it fails, the key may be made. */
export async function createKey(deps: KeyDeps, asked: CreateKey): Promise<MadeKey> {
  const { name, kind } = asked;
  refuseImpossible(deps, asked);
  const key = deps.newKey(kind);
  const outcome = await deps.keys.create({ ...asked, sha256: digestOf(key) });
  if (outcome === "taken")
    throw new KeyRefused("name-taken", `a live key is named "${name}": rotate it, or revoke it first`);
  if (outcome === "full") throw tooMany();
  return made(deps, "key.created", name, key);
}

/** Makes a new key under the name of a live one; both are valid until the old one expires. Throws as `createKey`. */
export async function rotateKey(deps: KeyDeps, asked: RotateKey): Promise<MadeKey> {
  const { name } = asked;
  const live = (await deps.keys.list()).find((row) => row.name === name && row.state === "live");
  if (live === undefined) throw unknownName(deps, name);
  const key = deps.newKey(live.kind);
  const outcome = await deps.keys.rotate(name, digestOf(key), asked);
  if (outcome === "unknown") throw unknownName(deps, name);
  if (outcome === "full") throw tooMany();
  return made(deps, "key.rotated", name, key);
}

/** Revokes all keys of a name, and returns after the copy was read back. May be repeated. Throws as `createKey`. */
export async function revokeKey(deps: KeyDeps, name: string): Promise<RevokedKey> {
  const digests = await deps.keys.revoke(name);
  if (digests.length === 0) throw unknownName(deps, name);
  const { isCopied } = await deps.renewKeyCopy();
  const isRefused = isCopied && (await isGone(deps, digests));
  deps.log.info("key.revoked", { key: name, isRefused });
  return { name, keys: digests.length, isRefused };
}

/** Lists every key that there ever was. */
export const listKeys = ({ keys }: Pick<KeyDeps, "keys">): Promise<KeyRow[]> => keys.list();

async function made(deps: KeyDeps, event: string, name: string, key: string): Promise<MadeKey> {
  const isCopied = await deps.renewKeyCopy().then(
    (renewed) => renewed.isCopied,
    () => false, // the key is made, and it can be told only now
  );
  deps.log.info(event, { key: name, isCopied });
  return { name, key, isCopied };
}

/** Whether the copy has none of these keys. Redis away: nobody knows. */
async function isGone({ keyCopy }: KeyDeps, digests: readonly string[]): Promise<boolean> {
  try {
    return await keyCopy.lacks(digests);
  } catch (error) {
    if (isOfRedis(error)) return false;
    throw error;
  }
}

const digestOf = (key: string): string => hash("sha256", key, "hex");

/** Throws for a key that could never be used, or that another one would stand for. */
function refuseImpossible({ streams, environmentNames }: KeyDeps, asked: CreateKey): void {
  const refuse = (message: string) => {
    throw new KeyRefused("impossible", message);
  };
  if (environmentNames.has(asked.name))
    throw new KeyRefused("name-taken", `a key in INGEST_API_KEYS is named "${asked.name}", and it wins`);
  const unknown = (asked.streams ?? []).filter((name) => !streams.has(name));
  if (unknown.length > 0) refuse(`no stream is named ${unknown.map((name) => `"${name}"`).join(", ")}`);
  if (asked.kind === "public") refuseImpossiblePublic(streams, asked, refuse);
  else if (asked.origins.length > 0 || asked.perAddressPerSecond !== undefined)
    refuse("origins and a rate for each address are for public keys");
}

/** A public key has streams of its own, and what it sends is answered once it is buffered. */
function refuseImpossiblePublic(
  streams: Registry,
  asked: CreateKey,
  refuse: (message: string) => void,
): void {
  if (asked.streams === undefined || asked.streams.length === 0)
    refuse("a public key needs a list of streams: everybody can read it");
  for (const name of asked.streams ?? [])
    if (streams.get(name)?.ack === "stored")
      refuse(`a public key can't send to ${name}, which is stored before the answer`);
}

const unknownName = ({ environmentNames }: KeyDeps, name: string): KeyRefused =>
  environmentNames.has(name)
    ? new KeyRefused("unknown-name", `"${name}" is a key of INGEST_API_KEYS: change it there, and deploy`)
    : new KeyRefused("unknown-name", `no live key is named "${name}"`);

const tooMany = (): KeyRefused =>
  new KeyRefused(
    "too-many-keys",
    "there is no room for one more key: at most 5,000 may be live, and their lists of streams and origins may take 1.5 MB",
  );
