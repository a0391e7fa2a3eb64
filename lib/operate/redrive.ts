/**
 * Redriving: dead letters go through the buffer once more, at a bounded rate, under the id and with the history they
 * have. Push first, then mark: a crash between the two redrives an event twice, which its primary key absorbs; the
 * other order would lose it.
 *
 * A letter counts as redriven only once Redis answered the push with a number, and only where it is still the death
 * that was read. What refuses an event again is the drain's to find out.
 */
import type { Buffer } from "../buffer/buffer.ts";
import { redisFailureOf } from "../buffer/redis-errors.ts";
import { split } from "../flow/split-by-size.ts";
import { byteLength, ONE_PUSH } from "../ingest/push.ts";
import { decodeEnvelope, packEnvelope, withDeaths } from "../schema/envelope.ts";
import { idFromRaw } from "../schema/event-ids.ts";
import type { Registry } from "../schema/registry.ts";
import type { Cursor, DeadLetter, DeadLetterStore, LetterFilter } from "../store/dead-letter-store.ts";
import { failureOf } from "../store/postgres-errors.ts";

/** What became of the letters so far. */
export interface RedriveReport {
  /** Pushed and marked; in a dry run, what would be. */
  redriven: number;
  /** Pushed, and not marked because they had died again or were purged by then. */
  changed: number;
  /** Not pushed, because they can't be. */
  skipped: number;
  /** What ended it early, in a sentence. */
  stopped: string | undefined;
}

export interface RedriveTerms {
  /** Events per second, at most. */
  rate: number;
  /** Letters, at most; undefined: all. */
  limit?: number | undefined;
  isDryRun?: boolean | undefined;
}

export interface RedriveContext {
  letters: Pick<DeadLetterStore, "now" | "read" | "markRedriven">;
  buffer: Pick<Buffer, "push">;
  streams: Registry;
  /** Partitions 0 to this minus one are pushed to in turn. */
  partitions: number;
  /** Letters read at once, as many as events in a batch: that many fit one answer. */
  pageMaxRows: number;
  now: () => number;
  sleep: (ms: number) => Promise<unknown>;
  onProgress: (report: Readonly<RedriveReport>) => void;
  onSkipped: (letter: DeadLetter, why: string) => void;
}

/** Letters of one stream that one LPUSH takes. */
interface PushGroup {
  stream: string;
  letters: DeadLetter[];
  envelopes: string[];
}

/**
 * Redrives the letters that a filter finds, those that died first first. Letters that die from now on are left for
 * the next time, so that one that can't live does not go round for ever. Throws what reading throws.
 */
export async function redrive(
  context: RedriveContext,
  filter: LetterFilter,
  terms: RedriveTerms,
): Promise<RedriveReport> {
  const report: RedriveReport = { redriven: 0, changed: 0, skipped: 0, stopped: undefined };
  const keepPace = paceOf(context, terms.rate);
  let turn = 0;
  for await (const page of pagesOf(context, filter, terms)) {
    for (const group of groupsOf(context, page, report)) {
      if (terms.isDryRun) {
        report.redriven += group.letters.length;
        continue;
      }
      await keepPace(group.letters.length);
      report.stopped = await redriveGroup(context, group, turn % context.partitions, report);
      turn += 1;
      context.onProgress(report);
      if (report.stopped) return report;
    }
  }
  return report;
}

/** Reads page by page. A page is never more than the events of one second. */
async function* pagesOf(
  { letters, pageMaxRows }: RedriveContext,
  filter: LetterFilter,
  { rate, limit = Number.POSITIVE_INFINITY }: RedriveTerms,
): AsyncGenerator<DeadLetter[]> {
  const startedAt = await letters.now();
  let after: Cursor | undefined;
  for (let left = limit; left > 0; ) {
    const rows = Math.min(pageMaxRows, Math.max(1, Math.floor(rate)), left);
    const page = await letters.read(filter, rows, after);
    const old = page.filter(({ diedAt }) => diedAt <= startedAt); // same format, so text compares as time
    if (old.length > 0) yield old;
    if (old.length < rows) return;
    left -= rows;
    after = page.at(-1);
  }
}

/** Sorts a page into pushes: by stream, and split where one push would be too large. */
function groupsOf(context: RedriveContext, page: readonly DeadLetter[], report: RedriveReport): PushGroup[] {
  const byStream = new Map<string, { letter: DeadLetter; envelope: string }[]>();
  for (const letter of page) {
    const why = whyNot(context.streams, letter);
    if (why !== undefined) {
      report.skipped += 1;
      context.onSkipped(letter, why);
      continue;
    }
    const items = byStream.get(letter.stream) ?? [];
    byStream.set(letter.stream, items);
    items.push({ letter, envelope: packEnvelope(withDeaths(letter.envelope, letter.attempts)) });
  }
  return [...byStream].flatMap(([stream, all]) =>
    split(all, ({ envelope }) => byteLength(envelope), ONE_PUSH).map(({ items }) => ({
      stream,
      letters: items.map(({ letter }) => letter),
      envelopes: items.map(({ envelope }) => envelope),
    })),
  );
}

/** Why a letter can't be redriven, or undefined. */
function whyNot(streams: Registry, { stream, id, envelope }: DeadLetter): string | undefined {
  if (!streams.has(stream)) return `no stream is named "${stream}", so nothing would drain it`;
  const decoded = decodeEnvelope(envelope);
  if (decoded === undefined) return "what was buffered is not an envelope";
  // An older release could not read it, and buried it under an id made of its text: that id says the text is unchanged.
  if (decoded.id === id || idFromRaw(stream, "", envelope) === id) return undefined;
  // Burying makes text of whatever was pushed into the list by hand, which can make another envelope of it.
  return `its envelope bears another id, ${decoded.id}`;
}

/** Pushes one group, and marks it once Redis has answered with a number. Returns what stopped it, if anything did. */
async function redriveGroup(
  { buffer, letters }: RedriveContext,
  group: PushGroup,
  partition: number,
  report: RedriveReport,
): Promise<string | undefined> {
  const { stream } = group;
  const some = `${group.letters.length} letter${group.letters.length === 1 ? "" : "s"} of ${stream}`;
  try {
    await buffer.push({ stream, partition }, group.envelopes);
  } catch (error) {
    return `Redis did not confirm ${some} (${redisFailureOf(error)}): nothing of it is marked, and redriving again is harmless`;
  }
  try {
    const marked = await letters.markRedriven(stream, group.letters);
    report.redriven += marked.size;
    report.changed += group.letters.length - marked.size;
    return undefined;
  } catch (error) {
    return `Redis has ${some}, but Postgres did not confirm the mark (${failureOf(error).reason}): redriving again is harmless`;
  }
}

/** Waits until a push of `count` events keeps to the rate: each push pays for the time after it. */
function paceOf({ now, sleep }: Pick<RedriveContext, "now" | "sleep">, rate: number) {
  let freeAtMs = now();
  return async (count: number): Promise<void> => {
    const waitMs = freeAtMs - now();
    if (waitMs > 0) await sleep(waitMs);
    freeAtMs = Math.max(freeAtMs, now()) + (count * 1000) / rate;
  };
}
