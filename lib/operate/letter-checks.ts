/** The doctor's checks of letters, and of how long inserts take. */
import type { Finding } from "../contract/doctor.ts";
import { describeMs } from "../contract/length-of-time.ts";
import type { Registry } from "../schema/registry.ts";
import { whyUnreadable } from "../schema/versions.ts";
import type { LetterCounts } from "../store/letter-counts.ts";
import type { Store } from "../store/store.ts";
import { type Check, listed, right, unseen, wrong } from "./finding.ts";

export interface StreamLetters extends LetterCounts {
  stream: string;
  /** Dead or held ones whose version this release can't read. */
  unreadable: number;
}

/** Streams whose letters are counted in one run, at most. */
export const LETTER_STREAMS_MAX = 10;

/** Counts the letters of the streams that have any, ten at most. */
export async function readLetters(
  store: Pick<Store, "streamsWithLetters" | "countLetters" | "letterVersions">,
  streams: Registry,
): Promise<StreamLetters[]> {
  const names = await store.streamsWithLetters([...streams.keys()]);
  const letters: StreamLetters[] = [];
  for (const name of names.slice(0, LETTER_STREAMS_MAX)) {
    const stream = streams.get(name);
    if (stream === undefined) continue;
    const versions = await store.letterVersions(stream);
    const unreadable = [...versions].filter(([v]) => whyUnreadable(stream, v) !== undefined);
    letters.push({
      ...(await store.countLetters(stream)),
      stream: name,
      unreadable: unreadable.reduce((sum, [, n]) => sum + n, 0),
    });
  }
  return letters;
}

interface Context {
  letters: Promise<StreamLetters[]>;
  /** Of this process; undefined: it has made no insert. */
  insertP99: { ms: number; count: number } | undefined;
  insertTimeoutMs: number;
  leaseMs: number;
}

export function letterChecks(context: Context): Check[] {
  const group = "spillway" as const;
  return [
    { group, check: "insert-times", where: "the dashboard: drain duration", look: () => insertsOf(context) },
    {
      ...{
        group,
        check: "held-letters",
        where: "spillway dead-letters list --state held, when Postgres answers",
      },
      look: async () => heldOf(await context.letters),
    },
    {
      ...{ group, check: "dead-letters", where: "spillway dead-letters list, when Postgres answers" },
      look: async () => deadOf(await context.letters),
    },
  ];
}

function insertsOf({ insertP99, insertTimeoutMs, leaseMs }: Context): Finding {
  if (insertP99 === undefined)
    return unseen(
      "this instance has stored nothing yet",
      "the dashboard: drain duration; or ask again after a drain",
    );
  const { ms, count } = insertP99;
  const seen = `p99 of the last ${count} inserts of this instance is ${describeMs(ms)}; one may take ${describeMs(insertTimeoutMs)}, and the lease is ${describeMs(leaseMs)}`;
  if (ms <= insertTimeoutMs / 2) return right(seen, "a lease outlasts an insert");
  return wrong(
    seen,
    "inserts are near their timeout: batches are then halved, and are stored more slowly",
    "look at locks and at Postgres's CPU; then raise its compute, lower BATCH_MAX_ROWS, or raise LEASE_MS",
  );
}

function heldOf(letters: readonly StreamLetters[]): Finding {
  const held = letters.filter((one) => one.held > 0);
  if (held.length === 0) return right("no letter is held", "nothing waits for proof");
  return wrong(
    listed(
      held.map(
        ({ stream, held: n, heldReason, heldForMs }) =>
          `${n} letters of ${stream} are held, the oldest for ${describeMs(heldForMs ?? 0)}, most for: ${heldReason}`,
      ),
    ),
    "Postgres refused them, and nothing proves yet whose fault it is",
    "mend the cause in the reason; they are tried again by themselves",
  );
}

function deadOf(letters: readonly StreamLetters[]): Finding {
  const dead = letters.filter((one) => one.dead > 0 || one.unreadable > 0);
  if (dead.length === 0) return right("there is no dead letter", "every event that was drained is stored");
  const unreadable = ({ unreadable: n }: StreamLetters) =>
    n === 0 ? "" : ` (${n} letters have a version that this release can't read)`;
  return wrong(
    listed(dead.map((one) => `${one.dead} events of ${one.stream} are dead letters${unreadable(one)}`)),
    "Postgres refused these events for their data; they are kept",
    "list them (spillway dead-letters list), mend their cause, and redrive or purge them",
  );
}
