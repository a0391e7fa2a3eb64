/**
 * The dry run of a redrive: tries to insert what the letters hold, and rolls it back. It says which letters would be stored and
 * which would die again, and why, by the streams of this release and the tables of this moment. Nothing is pushed or marked.
 */
import { PUSH_LIMITS } from "../buffer/buffer.ts";
import { split } from "../flow/split-by-size.ts";
import { type Row, rowOf } from "../schema/json-row.ts";
import type { Stream } from "../schema/stream.ts";
import type { DeadLetter, LetterFilter } from "../store/dead-letter-store.ts";
import { type Failure, failureOf } from "../store/postgres-errors.ts";
import type { Store } from "../store/store.ts";
import { tableNameOf } from "../store/stream-table.ts";
import { type TrialOutcome, tryRows } from "../store/trial.ts";
import {
  envelopeOf,
  type Position,
  pagesOf,
  type RedriveDeps,
  type RedriveOptions,
  type Skipped,
} from "./redrive.ts";

export interface TriedLetter {
  letter: DeadLetter;
  outcome: TrialOutcome;
}

/** What one page showed. */
export interface TrialProgress {
  tried: readonly TriedLetter[];
  skipped: readonly Skipped[];
  /** Why letters were not tried so far, in a sentence for each stream; undefined: all were. If Postgres gives no answer, it ends. */
  stopped: string | undefined;
  /** Where to go on, because the time was up; undefined: nothing is left, or it stopped. */
  next?: Position | undefined;
}

export interface TrialDeps extends Pick<RedriveDeps, "streams" | "pageMaxRows"> {
  letters: Pick<RedriveDeps["letters"], "now" | "read">;
  store: Pick<Store, "trial" | "settledAmong">;
}

/** A letter, and the row that its event would become. */
interface Triable {
  letter: DeadLetter;
  row: Row;
}

/**
 * Tries the letters that a filter finds, those that died first first, and yields what each page showed. May be repeated.
 * Sequences of the tables may advance. Throws what reading throws.
 */
export async function* tryRedrive(
  deps: TrialDeps,
  filter: LetterFilter,
  options: Omit<RedriveOptions, "rate"> = {},
): AsyncGenerator<TrialProgress> {
  const untried = new Map<Stream, Untried>();
  const pages = pagesOf(deps, filter, { ...options, rate: Number.POSITIVE_INFINITY });
  for await (const { letters, next } of pages) {
    const { skipped, tried } = await tryPage(deps, letters, untried);
    const stopped = untried.size > 0 ? sentenceOf(untried) : undefined;
    const isAway = [...untried.values()].some(({ why }) => why.kind === "no-answer");
    const goesOnLater = !isAway && next !== undefined && options.isTimeUp?.();
    yield { tried, skipped, stopped, next: goesOnLater ? next : undefined };
    if (isAway || goesOnLater) return;
  }
}

/** Tries a page, and notes in `untried` which letters Postgres did not try. */
async function tryPage(deps: TrialDeps, letters: readonly DeadLetter[], untried: Map<Stream, Untried>) {
  const { byStream, tried, skipped } = sortPage(deps, letters);
  for (const [stream, triables] of byStream) {
    // A table at fault is asked once, and not again with each page.
    const known = untried.get(stream);
    const result = known ? { tried: [], why: known.why } : await tryStream(deps, stream, triables);
    tried.push(...result.tried);
    if (result.why === undefined) continue;
    const count = (known?.letters ?? 0) + triables.length - result.tried.length;
    untried.set(stream, { letters: count, why: result.why });
  }
  return { tried, skipped };
}

/** Letters of one stream that Postgres did not try. */
interface Untried {
  letters: number;
  why: Failure;
}

const sentenceOf = (untried: ReadonlyMap<Stream, Untried>): string =>
  [...untried]
    .map(([stream, { letters, why }]) => {
      const some = `${letters} letter${letters === 1 ? "" : "s"} of ${stream.name}`;
      return `Postgres did not try ${some} (${why.reason}): no letter is at fault`;
    })
    .join(". ");

/** Sorts a page into rows by stream, letters whose event makes no row, and letters that can't be redriven. */
function sortPage({ streams }: TrialDeps, page: readonly DeadLetter[]) {
  const byStream = new Map<Stream, Triable[]>();
  const tried: TriedLetter[] = [];
  const skipped: Skipped[] = [];
  for (const letter of page) {
    const stream = streams.get(letter.stream);
    const envelope = envelopeOf(streams, letter);
    if (stream === undefined || typeof envelope === "string") {
      skipped.push({ letter, why: String(envelope) });
      continue;
    }
    const row = rowOf(stream, envelope);
    if ("json" in row) byStream.set(stream, [...(byStream.get(stream) ?? []), { letter, row }]);
    else tried.push({ letter, outcome: { kind: "refused", sqlstate: undefined, reason: row.reason } });
  }
  return { byStream, tried, skipped };
}

/** Tries the rows of one stream, in parts that one request can carry. `why`: a failure that left letters untried. */
async function tryStream({ store }: TrialDeps, stream: Stream, triables: readonly Triable[]) {
  const tried: TriedLetter[] = [];
  const parts = split(triables, ({ row }) => Buffer.byteLength(row.json), PUSH_LIMITS);
  for (const { items } of parts) {
    try {
      const rows = items.map(({ row }) => row);
      const outcomes = await tryRows(store, stream, rows);
      for (const [i, outcome] of outcomes.entries())
        tried.push({ letter: (items[i] as Triable).letter, outcome });
    } catch (error) {
      return { tried, why: failureOf(error, tableNameOf(stream)) };
    }
  }
  return { tried, why: undefined };
}
