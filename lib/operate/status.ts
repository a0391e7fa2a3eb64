/** Reads the answer of `GET /status`: how much waits where, how old it is, and why it does not drain. */
import type { Buffer } from "../buffer/buffer.ts";
import type { BufferedVersions } from "../buffer/count-versions.ts";
import type { PartitionStatus } from "../buffer/partition-status.ts";
import type { Pauses } from "../buffer/pauses.ts";
import type { WebhookCount, WebhookCounts } from "../buffer/webhook-counts.ts";
import { decodeEnvelope } from "../schema/envelope.ts";
import { isInternal, type Registry } from "../schema/registry.ts";
import type { Stream } from "../schema/stream.ts";
import { stateOfVersion, type VersionState } from "../schema/versions.ts";
import type { LetterCounts } from "../store/letter-counts.ts";
import type { Store } from "../store/store.ts";
import type { TableCheck } from "../store/table-check.ts";
import { type PauseReport, reportPause } from "./pause-report.ts";

export interface StatusReport {
  streams: {
    stream: string;
    pending: number;
    sealed: number;
    claimed: number;
    /** Age of the event received first, null if nothing waits. */
    oldestAgeSeconds: number | null;
    /** Whether it is not drained, for either reason. */
    isPaused: boolean;
    /** Since when, until when and by whom; null: it is drained. */
    paused: PauseReport | null;
    /** Null when Postgres does not answer, as the four that follow. */
    deadLetters: number | null;
    /** Letters that are tried again by themselves. */
    heldLetters: number | null;
    /** How long the oldest of them has been held; null if there is none. */
    heldLettersForSeconds: number | null;
    /** The reason that most of them have; null if there is none. */
    heldLettersReason: string | null;
    /** Why letters were not compared with the stream's table, so that some of them may be stored; null: they were, or not counted. */
    lettersNotCompared: string | null;
    /** How the table differs from what the stream declares, in sentences; null when Postgres does not answer. */
    tableDifferences: readonly string[] | null;
    /** The webhooks that came since counting began. Absent if the stream declares no source. */
    webhooks?: WebhookReport[];
    /** The versions of the data that waits. Absent if the stream has but one, and no other was found. */
    versions?: VersionsReport;
    partitions: {
      partition: number;
      depth: number;
      /** Seconds since the drain call that holds it began, null if none does. */
      heldForSeconds: number | null;
      /** Seconds since the batch in hand was first claimed, null if there is none. */
      batchAgeSeconds: number | null;
      crashes: number;
      lastSqlstate: string | null;
      lastReason: string | null;
    }[];
  }[];
}

/** The deliveries of one source. A killed instance's last ten seconds are missing. */
interface WebhookReport {
  source: string;
  /** Those whose signature held. */
  good: number;
  /** When the last of them came, RFC 3339; null: none did. */
  lastGoodAt: string | null;
  /** Those whose signature did not hold. */
  failed: number;
  lastFailedAt: string | null;
}

/** The versions of what waits in a stream's buffer and in its letters. */
interface VersionsReport {
  /** Events in the buffer, and how many of them were looked at: all, unless a list is long or its events are large. */
  waiting: number;
  lookedAt: number;
  /** Today's version, and each other that was found, in their order. */
  found: {
    v: number;
    state: VersionState;
    /** Of those that were looked at. */
    buffered: number;
    /** Held or dead; null when Postgres does not answer. */
    letters: number | null;
  }[];
}

interface Deps {
  buffer: Pick<Buffer, "findWork" | "inspect" | "versions">;
  store: Pick<Store, "countLetters" | "letterVersions">;
  /** Not asked if no stream declares a webhook. */
  webhookCounts: Pick<WebhookCounts, "read">;
  tables: Pick<TableCheck, "differencesOfAll">;
  streams: Registry;
  /** Streams in DRAIN_PAUSED. */
  paused: ReadonlySet<string>;
  pauses: Pick<Pauses, "find">;
  now: () => number;
}

/** Looks at everything once. Throws what Redis's client throws. */
export async function readStatus(deps: Deps): Promise<StatusReport> {
  const { buffer, webhookCounts, store, tables, streams, now } = deps;
  const names = [...streams.keys()];
  const { busy } = await buffer.findWork(names);
  const all = [...streams.values()];
  const [partitions, buffered, webhooks, pauses] = await Promise.all([
    buffer.inspect(busy),
    buffer.versions(busy),
    readWebhooks(webhookCounts, all),
    deps.pauses.find(names),
  ]);
  const differences = tables.differencesOfAll(all);
  const reports = all.map(async (stream, i) => {
    const mine = partitions.filter((p) => p.stream === stream.name);
    const sum = (list: "pending" | "sealed" | "claimed") => mine.reduce((total, p) => total + p[list], 0);
    const letters = await store.countLetters(stream).catch(() => undefined);
    const paused = reportPause(deps, stream.name, pauses.get(stream.name));
    return {
      stream: stream.name,
      pending: sum("pending"),
      sealed: sum("sealed"),
      claimed: sum("claimed"),
      oldestAgeSeconds: oldestAge(mine, now()),
      ...{ isPaused: paused !== null, paused },
      ...describeLetters(letters),
      tableDifferences: (await differences)[i] ?? null,
      ...webhooks.get(stream.name),
      ...versionsOf(stream, buffered.get(stream.name), await letterVersionsOf(store, stream, letters)),
      partitions: mine.map(describe),
    };
  });
  return { streams: (await Promise.all(reports)).filter(isTold) };
}

/** What is reported of each stream's webhooks, by the stream's name; none of a stream without. */
async function readWebhooks(
  counts: Pick<WebhookCounts, "read">,
  streams: readonly Stream[],
): Promise<ReadonlyMap<string, { webhooks: WebhookReport[] }>> {
  const sources = streams.flatMap(({ name: stream, webhooks }) =>
    [...webhooks.keys()].map((source) => ({ stream, source })),
  );
  const read = await counts.read(sources);
  const reports = new Map<string, { webhooks: WebhookReport[] }>();
  for (const [i, { stream, source }] of sources.entries()) {
    const report = reports.get(stream) ?? { webhooks: [] };
    report.webhooks.push(describeWebhook(source, read[i] as WebhookCount));
    reports.set(stream, report);
  }
  return reports;
}

const describeWebhook = (source: string, count: WebhookCount): WebhookReport => ({
  source,
  good: count.good,
  lastGoodAt: instant(count.goodAtMs),
  failed: count.failed,
  lastFailedAt: instant(count.failedAtMs),
});

const instant = (ms: number): string | null => (ms === 0 ? null : new Date(ms).toISOString());
/** A stream of Spillway's own is told of only if something of it waits or failed. */
const isTold = (one: StatusReport["streams"][number]): boolean =>
  !isInternal(one.stream) ||
  one.isPaused ||
  one.pending + one.sealed + one.claimed > 0 ||
  Boolean(one.deadLetters || one.heldLetters || one.tableDifferences?.length || one.lettersNotCompared);

const seconds = (ms: number | undefined) => (ms === undefined ? null : Math.round(ms / 1000));

const describe = (p: PartitionStatus) => ({
  partition: p.index,
  depth: p.pending + p.sealed + p.claimed,
  heldForSeconds: seconds(p.heldForMs),
  batchAgeSeconds: seconds(p.batchAgeMs),
  crashes: p.crashes,
  lastSqlstate: p.lastSqlstate ?? null,
  lastReason: p.lastReason ?? null,
});

function oldestAge(partitions: PartitionStatus[], nowMs: number): number | null {
  const received = partitions
    .flatMap((p) => p.oldest)
    .map((text) => Date.parse(decodeEnvelope(text)?.receivedAt ?? ""))
    .filter((ms) => !Number.isNaN(ms));
  return received.length === 0 ? null : Math.max(0, Math.round((nowMs - Math.min(...received)) / 1000));
}

const describeLetters = (counts: LetterCounts | undefined) => ({
  deadLetters: counts?.dead ?? null,
  heldLetters: counts?.held ?? null,
  heldLettersForSeconds: seconds(counts?.heldForMs ?? undefined),
  heldLettersReason: counts?.heldReason ?? null,
  lettersNotCompared: counts?.notCompared ?? null,
});

/** The versions of a stream's letters; undefined: Postgres does not answer. It is not asked if there are no letters. */
async function letterVersionsOf(
  store: Deps["store"],
  stream: Stream,
  letters: LetterCounts | undefined,
): Promise<ReadonlyMap<number, number> | undefined> {
  if (letters === undefined) return undefined;
  if (letters.dead + letters.held === 0) return new Map();
  return store.letterVersions(stream).catch(() => undefined);
}

const NOTHING_BUFFERED: BufferedVersions = { waiting: 0, lookedAt: 0, counts: new Map() };

function versionsOf(
  stream: Stream,
  { waiting, lookedAt, counts }: BufferedVersions = NOTHING_BUFFERED,
  letters: ReadonlyMap<number, number> | undefined,
): { versions?: VersionsReport } {
  const all = new Set([stream.v, ...counts.keys(), ...(letters?.keys() ?? [])]);
  if (stream.v === 1 && all.size === 1) return {};
  const found = [...all]
    .sort((a, b) => a - b)
    .map((v) => ({
      v,
      state: stateOfVersion(stream, v),
      buffered: counts.get(v) ?? 0,
      letters: letters === undefined ? null : (letters.get(v) ?? 0),
    }));
  return { versions: { waiting, lookedAt, found } };
}
