/**
 * The answer of `GET /doctor`: everything that somebody should know or do, as findings. Each has a reason and a cure. It looks at what
 * `GET /status` looks at, and at the keys; it changes nothing.
 *
 * A check is a function from what was read to its findings: stream-findings.ts, key-findings.ts.
 */
import type { KeyCopy } from "../buffer/key-copy.ts";
import { isOfRedis } from "../buffer/redis-errors.ts";
import type { Doubt } from "../config-doubts.ts";
import type { KeyStore } from "../store/key-store.ts";
import { failureOf } from "../store/postgres-errors.ts";
import type { Finding } from "./finding.ts";
import { type KeyFacts, keyFindings } from "./key-findings.ts";
import { readStatus, type StatusReport } from "./status.ts";
import { streamFindings } from "./stream-findings.ts";

export interface DoctorReport {
  /** The worst first. */
  findings: Finding[];
}

export type DoctorDeps = Parameters<typeof readStatus>[0] & {
  /** Settings that are probably not meant. */
  doubts: readonly Doubt[];
  keyCommands: {
    keys: Pick<KeyStore, "list" | "version">;
    keyCopy: Pick<KeyCopy, "generation">;
    environmentNames: ReadonlySet<string>;
  };
};

const SEVERITIES: readonly Finding["severity"][] = ["error", "warning", "info"];

/** Looks at everything once. A server that is away is a finding, and what it would have told is left out. */
export async function examine(deps: DoctorDeps): Promise<DoctorReport> {
  const [status, keys] = await Promise.all([orAway(readStatus(deps)), readKeyFacts(deps)]);
  const findings = [
    ...serverFindings(status, keys),
    ...(status === undefined ? [] : streamFindings(status)),
    ...keyFindings(keys),
    ...deps.doubts.map(doubtFinding),
  ];
  const rank = ({ severity }: Finding) => SEVERITIES.indexOf(severity);
  return { findings: findings.sort((a, b) => rank(a) - rank(b)) };
}

async function readKeyFacts(deps: DoctorDeps): Promise<KeyFacts> {
  const { keys, keyCopy, environmentNames } = deps.keyCommands;
  const [all, version, generation] = await Promise.all([
    orAway(keys.list()),
    orAway(keys.version()),
    orAway(keyCopy.generation()),
  ]);
  return { all, version, generation, environmentNames, nowMs: deps.now() };
}

/** Undefined: the server that was asked gave no answer. */
async function orAway<Answer>(asked: Promise<Answer>): Promise<Answer | undefined> {
  try {
    return await asked;
  } catch (error) {
    if (!isOfRedis(error)) failureOf(error);
    return undefined;
  }
}

function serverFindings(status: StatusReport | undefined, { all, generation }: KeyFacts): Finding[] {
  const findings: Finding[] = [];
  if (status === undefined || generation === undefined)
    findings.push({
      what: "redis-away",
      severity: "error",
      say: "Redis gives the supervisor no answer, or refuses: the buffer and the copy of the keys are not looked at",
      do: "look at the provider's status page and quota, and compare UPSTASH_REDIS_REST_URL and its token",
    });
  if (all === undefined)
    findings.push({
      what: "postgres-away",
      severity: "error",
      say: "Postgres gives the supervisor no answer, or refuses: letters, tables and keys are not looked at",
      do: "look at the provider's status page, compare DATABASE_URL, and apply the migrations",
    });
  return findings;
}

const doubtFinding = ({ setting, reason }: Doubt): Finding => ({
  what: "setting-doubted",
  severity: "warning",
  say: `${setting}: ${reason}`,
  do: `change ${setting}, or leave it if it is for a release to come`,
});
