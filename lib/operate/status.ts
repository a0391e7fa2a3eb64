/** Reads the answer of `GET /status`: how much waits where, how old it is, and why it does not drain. */
import type { Buffer } from "../buffer/buffer.ts";
import type { BufferedVersions } from "../buffer/count-versions.ts";
import type { PartitionStatus } from "../buffer/partition-status.ts";
import type { Pauses } from "../buffer/pauses.ts";
import type { WebhookCount, WebhookCounts } from "../buffer/webhook-counts.ts";
import type { StatusReport, VersionsReport, WebhookReport } from "../contract/status.ts";
import { decodeEnvelope } from "../schema/envelope.ts";
import { isInternal, type Registry } from "../schema/registry.ts";
import type { Stream } from "../schema/stream.ts";
import { stateOfVersion } from "../schema/versions.ts";
import type { LetterCounts } from "../store/letter-counts.ts";
import type { Store } from "../store/store.ts";
import type { TableCheck } from "../store/table-check.ts";
import { reportPause } from "./pause-report.ts";

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
