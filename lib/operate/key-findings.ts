/** What the doctor finds about keys. */
import { EXPIRY_TOLD_DAYS } from "../contract/limits.ts";
import { KEYS_MAX, parseGeneration } from "../key-set.ts";
import type { KeyRow } from "../store/key-store.ts";
import type { Finding } from "./finding.ts";

export interface KeyFacts {
  /** Every key that there ever was; undefined, as `version`: Postgres gave no answer. */
  all: readonly KeyRow[] | undefined;
  version: number | undefined;
  /** Of the copy in Redis; "": there is none; undefined: Redis gave no answer. */
  generation: string | undefined;
  environmentNames: ReadonlySet<string>;
  nowMs: number;
}

/** A key is told of from 14 days before its end on, as ingest does. */
const SOON_MS = EXPIRY_TOLD_DAYS * 86_400_000;
/** The part of the most keys from which on it is said. */
const NEARLY = 0.9;

export const keyFindings = (facts: KeyFacts): Finding[] => [
  ...copyBehind(facts),
  ...namesClash(facts),
  ...expiring(facts),
  ...nearlyFull(facts),
];

const liveOf = ({ all = [] }: KeyFacts) => all.filter(({ state }) => state === "live");

/** An instance that has no copy yet would take an old one, or read Postgres. */
function copyBehind({ version, generation }: KeyFacts): Finding[] {
  if (version === undefined || generation === undefined) return [];
  const copied = parseGeneration(generation)?.version;
  if (copied === version || (copied === undefined && version === 0)) return [];
  const state = copied === undefined ? "is missing" : "is not that of the table's last change";
  return [
    {
      what: "key-copy-behind",
      severity: copied === undefined ? "warning" : "error",
      say: `the copy of the keys in Redis ${state}: a key that was revoked may still be taken`,
      do: "repeat the last command on keys, or wait: the next drain that stores something mends it",
    },
  ];
}

function namesClash(facts: KeyFacts): Finding[] {
  const names = new Set(liveOf(facts).map(({ name }) => name));
  const clashing = [...names].filter((name) => facts.environmentNames.has(name));
  return clashing.map((name) => ({
    what: "key-names-clash",
    severity: "warning",
    say: `the key "${name}" is in INGEST_API_KEYS and in the table: that of the environment wins, and the other is refused`,
    do: `revoke the one in the table, or take "${name}" out of INGEST_API_KEYS and deploy`,
  }));
}

/** A key beside which a newer one of its name lives on is meant to expire. */
function expiring(facts: KeyFacts): Finding[] {
  const live = liveOf(facts);
  const endsAtMs = ({ expiresAt }: KeyRow) =>
    expiresAt === null ? Number.POSITIVE_INFINITY : Date.parse(expiresAt);
  return live
    .filter((row) => endsAtMs(row) - facts.nowMs <= SOON_MS)
    .map((row) => {
      const isRotated = live.some((other) => other.name === row.name && endsAtMs(other) > endsAtMs(row));
      return {
        what: "key-expiring",
        severity: isRotated ? "info" : "warning",
        say: `the key "${row.name}" (${row.digest}…) expires at ${row.expiresAt}${isRotated ? ", and a newer one has its name" : ""}`,
        do: isRotated
          ? "see that its senders use the newer one"
          : `rotate it: spillway keys rotate ${row.name}`,
      };
    });
}

function nearlyFull(facts: KeyFacts): Finding[] {
  const count = liveOf(facts).length;
  if (count < KEYS_MAX * NEARLY) return [];
  return [
    {
      what: "keys-nearly-full",
      severity: "warning",
      say: `${count} keys are live, and at most ${KEYS_MAX} may be`,
      do: "revoke keys that nobody uses",
    },
  ];
}
