/**
 * Redriving: dead letters go through the buffer once more, at a bounded rate, under the id and with the history they
 * have. Push first, then mark: a crash between the two redrives an event twice, which its primary key absorbs; the
 * other order would lose it.
 *
 * A letter counts as redriven only once Redis answered the push with a number, and only if it is still the burial
 * that was read. The drain finds out whether Postgres refuses the event again.
 */
import { type Buffer, PUSH_LIMITS } from "../buffer/buffer.ts";
import { redisFailureOf } from "../buffer/redis-errors.ts";
import { split } from "../flow/split-by-size.ts";
import {
  decodeEnvelope,
  type Envelope,
  encodedBytes,
  encodeEnvelope,
  type PushableEnvelope,
  packEnvelope,
} from "../schema/envelope.ts";
import { idOfForeignText } from "../schema/event-ids.ts";
import type { Registry } from "../schema/registry.ts";
import type { Stream } from "../schema/stream.ts";
import { whyUnreadable } from "../schema/versions.ts";
import { decodeDelivery, eventOfDelivery } from "../schema/webhook-letter.ts";
import type { Cursor, DeadLetter, DeadLetterStore, LetterFilter } from "../store/dead-letter-store.ts";
import { isLetterOf } from "../store/letter.ts";
import { failureOf } from "../store/postgres-errors.ts";

/** What became of the letters so far. */
export interface RedriveReport {
  /** Pushed and marked. */
  redriven: number;
  /** Pushed, and not marked because they had died again or were purged by then. */
  changed: number;
  /** Not pushed, because they can't be. */
  skipped: number;
  /** Why it ended early, in a sentence. */
  stopped: string | undefined;
  /** Where to go on, because the time was up; undefined: nothing is left, or it stopped. */
  next?: Position | undefined;
}

/** Where a redrive goes on that was ended by its time. */
export interface Position {
  /** When the first part of it began, by Postgres's clock. */
  startedAt: string;
  /** The last letter that it looked at. */
  after: Cursor;
  /** Letters that it may still look at; undefined: all. */
  left: number | undefined;
}

/** A report, and the letters that were skipped since the one before it. */
export interface RedriveProgress extends RedriveReport {
  skippedNow: readonly Skipped[];
}

/** A letter that can't be redriven, and why. */
export interface Skipped {
  letter: DeadLetter;
  why: string;
}

export interface RedriveOptions {
  /** Events per second, at most. */
  rate: number;
  /** Letters, at most; undefined: all. */
  limit?: number | undefined;
  /** Goes on where an earlier call ended, whose filter and rate were the same. */
  from?: Position | undefined;
  /** Asked after each page whether to end there. @default never */
  isTimeUp?: (() => boolean) | undefined;
}

export interface RedriveDeps {
  letters: Pick<DeadLetterStore, "now" | "read" | "markRedriven">;
  buffer: Pick<Buffer, "push">;
  streams: Registry;
  /** Partitions 0 to this minus one are pushed to in turn. */
  partitions: number;
  /** Letters read at once, as many as events in a batch: that many fit one answer. */
  pageMaxRows: number;
  /** A clock that is never set back. */
  monotonicMs: () => number;
  sleep: (ms: number) => Promise<unknown>;
}

/** A letter that can be redriven, and its envelope as it is pushed. */
interface Redrivable {
  letter: DeadLetter;
  envelope: PushableEnvelope;
}

/** Letters of one stream that one LPUSH takes. */
interface PushGroup {
  stream: string;
  items: readonly Redrivable[];
}

/**
 * Redrives the letters that a filter finds, those that died first first, and yields a report after each push and page;
 * the last one is the result. Letters that die from now on are left for the next time, so that one that can't live
 * does not go round for ever. Throws what reading throws.
 */
export async function* redrive(
  deps: RedriveDeps,
  filter: LetterFilter,
  options: RedriveOptions,
): AsyncGenerator<RedriveProgress> {
  let report: RedriveReport = { redriven: 0, changed: 0, skipped: 0, stopped: undefined };
  const keepPace = paceOf(deps, options.rate);
  let turn = 0;
  for await (const { letters, next } of pagesOf(deps, filter, options)) {
    const { groups, skipped } = sortPage(deps.streams, letters);
    report = { ...report, skipped: report.skipped + skipped.length };
    yield { ...report, skippedNow: skipped };
    for (const group of groups) {
      await keepPace(group.items.length);
      const pushed = await redriveGroup(deps, group, turn % deps.partitions);
      turn += 1;
      report = {
        redriven: report.redriven + pushed.redriven,
        changed: report.changed + pushed.changed,
        skipped: report.skipped,
        stopped: pushed.stopped,
      };
      yield { ...report, skippedNow: [] };
      if (report.stopped) return;
    }
    if (next !== undefined && options.isTimeUp?.()) {
      await keepPace(0); // the next call pushes at once
      yield { ...report, next, skippedNow: [] };
      return;
    }
  }
  yield { ...report, skippedNow: [] };
}

/** Letters that are read at once; `next`: where the page after them begins, undefined if there may be none. */
interface Page {
  letters: DeadLetter[];
  next: Position | undefined;
}

/** Reads page by page. A page is never more than the events of one second. */
export async function* pagesOf(
  {
    letters,
    pageMaxRows,
  }: Pick<RedriveDeps, "pageMaxRows"> & { letters: Pick<DeadLetterStore, "now" | "read"> },
  filter: LetterFilter,
  { rate, limit, from }: RedriveOptions,
): AsyncGenerator<Page> {
  const startedAt = from?.startedAt ?? (await letters.now());
  let after: Cursor | undefined = from?.after;
  let left = from ? from.left : limit;
  while (left !== 0) {
    const rows = Math.min(pageMaxRows, Math.max(1, Math.floor(rate)), left ?? Number.POSITIVE_INFINITY);
    const page = await letters.read(filter, rows, after);
    const old = page.filter(({ diedAt }) => diedAt <= startedAt); // same format, so text compares as time
    left = left === undefined ? undefined : left - rows;
    after = page.at(-1);
    const mayBeMore = old.length === rows && left !== 0 && after !== undefined;
    const next = mayBeMore && after ? { startedAt, after: positionOf(after), left } : undefined;
    if (old.length > 0) yield { letters: old, next };
    if (next === undefined) return;
  }
}

const positionOf = ({ stream, id, diedAt }: Cursor): Cursor => ({ stream, id, diedAt });

/** Sorts a page into pushes (by stream, and split where one push would be too large) and letters that can't be. */
function sortPage(
  streams: Registry,
  page: readonly DeadLetter[],
): { groups: PushGroup[]; skipped: Skipped[] } {
  const skipped: Skipped[] = [];
  const byStream = new Map<string, Redrivable[]>();
  for (const letter of page) {
    const envelope = envelopeOf(streams, letter);
    if (typeof envelope === "string") {
      skipped.push({ letter, why: envelope });
      continue;
    }
    const items = byStream.get(letter.stream) ?? [];
    byStream.set(letter.stream, items);
    items.push({ letter, envelope: packEnvelope({ ...envelope, burials: letter.burials }) });
  }
  const groups = [...byStream].flatMap(([stream, all]) =>
    split(all, ({ envelope }) => encodedBytes(envelope), PUSH_LIMITS).map(({ items }) => ({ stream, items })),
  );
  return { groups, skipped };
}

/** The envelope of a letter, or the reason why it can't be redriven. */
export function envelopeOf(streams: Registry, { stream, id, envelope: text }: DeadLetter): Envelope | string {
  const known = streams.get(stream);
  if (known === undefined) return `no stream is named "${stream}", so nothing would drain it`;
  const envelope = decodeEnvelope(text) ?? eventOfText(known, text);
  if (typeof envelope === "string") return envelope;
  const unreadable = whyUnreadable(known, envelope.v);
  if (unreadable !== undefined) return unreadable;
  // An older release could not read it, and buried it under an id made of its text: that id says the text is unchanged.
  if (isLetterOf({ name: stream }, id, envelope) || idOfForeignText(stream, text) === id) return envelope;
  // Burying makes text of whatever was pushed into the list by hand, which can make another envelope of it.
  return `its envelope bears another id, ${envelope.id}`;
}

/** The event that today's `toEvent` makes of a webhook, or why there is none. */
function eventOfText(stream: Stream, text: string): Envelope | string {
  const delivery = decodeDelivery(text);
  return delivery ? eventOfDelivery(stream, delivery) : "what was buffered is not an envelope";
}

/** Pushes one group, and marks it once Redis has answered with a number. */
async function redriveGroup(
  { buffer, letters }: RedriveDeps,
  { stream, items }: PushGroup,
  index: number,
): Promise<Pick<RedriveReport, "redriven" | "changed" | "stopped">> {
  const some = `${items.length} letter${items.length === 1 ? "" : "s"} of ${stream}`;
  const stop = (stopped: string) => ({ redriven: 0, changed: 0, stopped });
  try {
    const texts = items.map(({ envelope }) => encodeEnvelope(envelope));
    await buffer.push({ stream, index }, texts);
  } catch (error) {
    return stop(
      `Redis did not confirm ${some} (${redisFailureOf(error)}): nothing of it is marked, and redriving again is harmless`,
    );
  }
  try {
    const ofGroup = items.map(({ letter }) => letter);
    const { size } = await letters.markRedriven(stream, ofGroup);
    return { redriven: size, changed: items.length - size, stopped: undefined };
  } catch (error) {
    return stop(
      `Redis has ${some}, but Postgres did not confirm the mark (${failureOf(error).reason}): redriving again is harmless`,
    );
  }
}

/** Waits until a push of `count` events keeps to the rate: each push pays for the time after it. */
function paceOf({ monotonicMs, sleep }: Pick<RedriveDeps, "monotonicMs" | "sleep">, rate: number) {
  let freeAtMs = monotonicMs();
  return async (count: number): Promise<void> => {
    const waitMs = freeAtMs - monotonicMs();
    if (waitMs > 0) await sleep(waitMs);
    freeAtMs = Math.max(freeAtMs, monotonicMs()) + (count * 1000) / rate;
  };
}
