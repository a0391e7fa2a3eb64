/** The doctor's checks of keys and settings. */
import type { Doubt } from "../config-doubts.ts";
import type { Finding } from "../contract/doctor.ts";
import { EXPIRY_TOLD_DAYS } from "../contract/limits.ts";
import { problemOfOrigin } from "../cors-origin.ts";
import { KEYS_MAX, parseGeneration } from "../key-set.ts";
import type { KeyRow } from "../store/key-store.ts";
import { type Check, listed, right, unseen, wrong } from "./finding.ts";

interface Context {
  /** Every key that there ever was. */
  keys: Promise<readonly KeyRow[]>;
  version: Promise<number>;
  /** Of the copy in Redis; "": there is none. */
  generation: Promise<string>;
  /** The names of INGEST_API_KEYS, as far as this process knows them. */
  environmentNames: ReadonlySet<string>;
  /** CORS_ORIGINS. */
  corsOrigins: readonly string[];
  doubts: readonly Doubt[];
  nowMs: number;
}

/** A key is told of from 14 days before its end on, as ingest does. */
const SOON_MS = EXPIRY_TOLD_DAYS * 86_400_000;
/** The part of the most keys from which on it is said. */
const NEARLY = 0.9;

export function keyChecks(context: Context): Check[] {
  const group = "spillway" as const;
  const live = async () => (await context.keys).filter(({ state }) => state === "live");
  const list = "spillway keys list, when Postgres answers";
  return [
    {
      ...{
        group,
        check: "key-copy",
        where: "repeat the last command on keys when both servers answer: it replaces the copy",
      },
      look: async () => copyOf(await context.version, await context.generation),
    },
    { group, check: "key-names", where: list, look: async () => namesOf(await live(), context) },
    { group, check: "key-expiry", where: list, look: async () => expiryOf(await live(), context) },
    { group, check: "key-count", where: list, look: async () => countOf((await live()).length) },
    { group, check: "cors", where: list, look: async () => corsOf(await live(), context) },
    { group, check: "settings", where: "the environment", look: () => settingsOf(context) },
  ];
}

/** An instance that has no copy yet would take an old one, or read Postgres. */
function copyOf(version: number, generation: string): Finding {
  const copied = parseGeneration(generation)?.version;
  if (copied === version)
    return right("the copy of the keys in Redis is that of the table", "ingest knows every key");
  if (copied === undefined && version === 0)
    return right(
      "there never was a key in the table, and there is no copy",
      "only keys of INGEST_API_KEYS are taken",
    );
  const state = copied === undefined ? "is missing" : "is not that of the table's last change";
  return wrong(
    `the copy of the keys in Redis ${state}`,
    "a key that was revoked may still be taken, and a new one refused",
    "repeat the last command on keys, or wait: the next drain that stores something mends it",
  );
}

function namesOf(live: readonly KeyRow[], { environmentNames }: Context): Finding {
  if (live.length === 0) return right("no key of the table is live", "no name can clash");
  if (environmentNames.size === 0)
    return unseen(
      "this process has no INGEST_API_KEYS",
      "compare spillway keys list with api_keys in terraform.tfvars: no name may be in both",
    );
  const names = new Set(live.map(({ name }) => name));
  const clashing = [...names].filter((name) => environmentNames.has(name));
  if (clashing.length === 0)
    return right("no name is in INGEST_API_KEYS and in the table", "each name is one sender");
  return wrong(
    `in INGEST_API_KEYS and in the table: ${listed(clashing, ", ")}`,
    "the key of the environment wins, and the other is refused",
    `revoke the one in the table (spillway keys revoke ${clashing[0]}), or take it out of INGEST_API_KEYS and deploy`,
  );
}

/** A key beside which a newer one of its name lives on is meant to expire. */
function expiryOf(live: readonly KeyRow[], { nowMs }: Context): Finding {
  const endsAtMs = ({ expiresAt }: KeyRow) =>
    expiresAt === null ? Number.POSITIVE_INFINITY : Date.parse(expiresAt);
  const soon = live.filter((row) => endsAtMs(row) - nowMs <= SOON_MS);
  const isRotated = (row: KeyRow) =>
    live.some((other) => other.name === row.name && endsAtMs(other) > endsAtMs(row));
  const said = (row: KeyRow) => `the key "${row.name}" (${row.digest}…) expires at ${row.expiresAt}`;
  const alone = soon.filter((row) => !isRotated(row));
  if (alone.length > 0)
    return wrong(
      listed(alone.map(said)),
      "from then on its sender gets 401",
      `rotate it: spillway keys rotate ${alone[0]?.name}`,
    );
  if (soon.length === 0)
    return right(`no key expires within ${EXPIRY_TOLD_DAYS} days`, "no sender is cut off soon");
  return right(
    listed(soon.map((row) => `${said(row)}, and a newer one has its name`)),
    "it was rotated: see that its sender uses the newer one",
  );
}

function countOf(count: number): Finding {
  const seen = `${count} keys are live, and at most ${KEYS_MAX} may be`;
  if (count < KEYS_MAX * NEARLY) return right(seen, "there is room");
  return wrong(
    seen,
    "at the limit no key can be made",
    "revoke keys that nobody uses (spillway usage says who sends)",
  );
}

/** An origin is listed for secret keys, or for a public one, and never for both; and a browser must be able to send it. */
function corsOf(live: readonly KeyRow[], { corsOrigins }: Context): Finding {
  const pages = live.filter(({ kind }) => kind === "public");
  const isListed = (origin: string) => corsOrigins.includes("*") || corsOrigins.includes(origin);
  const each = pages.flatMap(({ name, origins }) => origins.map((origin) => ({ name, origin })));
  const foreign = each.filter(({ origin }) => problemOfOrigin(origin) !== undefined);
  if (foreign.length > 0)
    return wrong(
      listed(foreign.map(({ name, origin }) => `the public key "${name}" is for ${origin}`)),
      "no browser sends such an origin, so no page of it can use the key",
      "make the key anew with the origin as browsers send it: spillway keys create --public --origins https://app.example",
    );
  const both = each.filter(({ origin }) => isListed(origin));
  if (both.length > 0)
    return wrong(
      listed(
        both.map(
          ({ name, origin }) =>
            `pages of ${origin} have the public key "${name}", and CORS_ORIGINS lets them use secret keys, too`,
        ),
      ),
      "a secret key in a page is known to everybody who opens it, and CORS_ORIGINS would not stop it",
      "take the origin out of CORS_ORIGINS, unless a page of it needs a secret key",
    );
  const open = pages.filter(({ origins }) => origins.length === 0).length;
  const secret =
    corsOrigins.length === 0
      ? "no page may use a secret key"
      : `pages of ${listed(corsOrigins, ", ")} may use secret keys`;
  return right(
    `${secret}; ${pages.length} public keys are live, ${open} of them for every page`,
    "the origins of public keys and CORS_ORIGINS do not contradict one another",
  );
}

function settingsOf({ doubts }: Context): Finding {
  if (doubts.length === 0) return right("no setting is doubtful", "they fit this release");
  return wrong(
    listed(doubts.map(({ setting, reason }) => `${setting}: ${reason}`)),
    "it is usable, but probably not meant",
    `change ${doubts[0]?.setting}, or leave it if it is for a release to come`,
  );
}
