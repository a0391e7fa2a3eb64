/** The doctor's checks of the buffer: what waits, why, and who drains it. */
import type { BufferedVersions } from "../buffer/count-versions.ts";
import type { PartitionStatus } from "../buffer/partition-status.ts";
import type { Finding } from "../contract/doctor.ts";
import { describeMs } from "../contract/length-of-time.ts";
import type { PauseReport } from "../contract/pause.ts";
import { decodeEnvelope } from "../schema/envelope.ts";
import type { Registry } from "../schema/registry.ts";
import { stateOfVersion, whyUnreadable } from "../schema/versions.ts";
import { type Check, listed, right, unseen, wrong } from "./finding.ts";
import type { LastTick } from "./last-tick.ts";
import { sayPaused } from "./pause-report.ts";

/** What is in the buffer. */
export interface BufferFacts {
  partitions: PartitionStatus[];
  versions: ReadonlyMap<string, BufferedVersions>;
}

/** A stream that is buffered and not drained. */
export interface PausedStream {
  stream: string;
  paused: PauseReport;
}

export interface StreamAnswers {
  buffer: Promise<BufferFacts>;
  pauses: Promise<readonly PausedStream[]>;
}

interface Context {
  streams: Registry;
  spillway: StreamAnswers;
  lastTick: Pick<LastTick, "ageMs" | "upMs">;
  nowMs: number;
  /** How long a drain call may hold a partition. */
  heldMaxMs: number;
}

/** An event that waits longer is late (the alert `Oldest event is old` says the same). */
const LATE_MS = 300_000;
/** The tick comes every minute; two may be lost. */
const TICK_MAX_MS = 180_000;

/** Where to look. */
const STATUS = "spillway status, when Redis answers";

export function streamChecks(context: Context): Check[] {
  const { spillway } = context;
  const group = "spillway" as const;
  return [
    {
      ...{ group, check: "tick", where: "Cloud Scheduler's console: spillway-drain" },
      look: async () => tickOf(context, await oldestOf(context)),
    },
    {
      ...{ group, check: "oldest-event", where: STATUS },
      look: async () => oldestFinding(await oldestOf(context)),
    },
    {
      ...{ group, check: "partitions", where: STATUS },
      look: async () => partitionsOf(context, await spillway.buffer),
    },
    {
      ...{ group, check: "paused", where: "DRAIN_PAUSED, and spillway status when Redis answers" },
      look: () => pausedOf(spillway),
    },
    {
      ...{ group, check: "versions", where: STATUS },
      look: async () => versionsOf(context, await spillway.buffer),
    },
  ];
}

interface Oldest {
  stream: string;
  ageMs: number;
}

/** The oldest event that waits, of the streams that are drained; undefined: nothing waits. */
async function oldestOf({ spillway, nowMs }: Context): Promise<Oldest | undefined> {
  const [{ partitions }, pauses] = await Promise.all([spillway.buffer, spillway.pauses]);
  const ages = partitions
    .filter(({ stream }) => !pauses.some((one) => one.stream === stream))
    .flatMap(({ stream, oldest }) =>
      oldest.map((text) => ({ stream, ageMs: nowMs - Date.parse(decodeEnvelope(text)?.receivedAt ?? "") })),
    );
  return ages.filter(({ ageMs }) => !Number.isNaN(ageMs)).sort((a, b) => b.ageMs - a.ageMs)[0];
}

function oldestFinding(oldest: Oldest | undefined): Finding {
  if (oldest === undefined) return right("no event waits", "everything is stored");
  const seen = `the oldest event that waits is of ${oldest.stream}, accepted ${describeMs(Math.max(0, oldest.ageMs))} ago`;
  if (oldest.ageMs < LATE_MS) return right(seen, "events are stored in time");
  return wrong(
    seen,
    "events are late: they come faster than they are drained, or something is in their way",
    "mend what tick and partitions say; if they are right, drain more at once (docs/operations.md, Growing)",
  );
}

/** This process knows its own ticks only. Another instance may have had them: then nothing waits for long. */
function tickOf({ lastTick }: Context, oldest: Oldest | undefined): Finding {
  const { ageMs, upMs } = lastTick;
  const where =
    "gcloud scheduler jobs describe spillway-drain --location=REGION: is it enabled, and how did its last call end? Outside Cloud Run: tick.failed in the log. Meanwhile: spillway drain";
  if (ageMs !== undefined && ageMs <= TICK_MAX_MS)
    return right(`the last tick came to this instance ${describeMs(ageMs)} ago`, "the scheduler calls");
  const seen =
    ageMs === undefined
      ? `no tick came to this instance since it began ${describeMs(upMs)} ago`
      : `the last tick came to this instance ${describeMs(ageMs)} ago`;
  if (oldest !== undefined && oldest.ageMs > TICK_MAX_MS)
    return wrong(
      `${seen}, and an event of ${oldest.stream} has waited for ${describeMs(oldest.ageMs)}`,
      "nobody drains: the scheduler is paused, or may not call",
      where,
    );
  return unseen(`${seen}, and nothing waits for long`, where);
}

function partitionsOf({ heldMaxMs }: Context, { partitions }: BufferFacts): Finding {
  const said = partitions.flatMap((one) => {
    const why = whyStuck(one, heldMaxMs);
    const depth = one.pending + one.sealed + one.claimed;
    return why === undefined
      ? []
      : [`partition ${one.index} of ${one.stream} waits with ${depth} events: ${why}`];
  });
  if (said.length === 0) {
    const held = partitions.filter(({ heldForMs }) => heldForMs !== undefined).length;
    return right(
      `${partitions.length} partitions hold something, ${held} are being drained`,
      "none is stuck",
    );
  }
  return wrong(
    listed(said),
    "its events wait, and are safe",
    "mend the cause in the reason (docs/operations.md, Oldest event is old); the next tick takes the batch again",
  );
}

function whyStuck(
  { lastReason, crashes, heldForMs = 0 }: PartitionStatus,
  heldMaxMs: number,
): string | undefined {
  if (lastReason !== undefined) return lastReason;
  if (crashes > 0) return `${crashes} drain calls died with its batch`;
  return heldForMs > heldMaxMs ? `a drain call has held it for ${describeMs(heldForMs)}` : undefined;
}

async function pausedOf({ pauses, buffer }: StreamAnswers): Promise<Finding> {
  const paused = await pauses;
  if (paused.length === 0) return right("no stream is paused", "every stream is drained");
  const { partitions } = await buffer;
  const waiting = (name: string) =>
    partitions
      .filter(({ stream }) => stream === name)
      .reduce((sum, { pending, sealed, claimed }) => sum + pending + sealed + claimed, 0);
  const seen = listed(
    paused.map((one) => `${one.stream} ${sayPaused(one.paused)}: ${waiting(one.stream)} events wait`),
  );
  if (paused.every(({ stream }) => waiting(stream) === 0)) return right(seen, "as somebody wanted it");
  return wrong(
    seen,
    "somebody wanted it; its events are kept, and nothing of it is stored until it goes on",
    listed(paused.filter(({ stream }) => waiting(stream) > 0).map(howItGoesOn)),
  );
}

const howItGoesOn = ({ stream, paused }: PausedStream): string =>
  paused.isInEnvironment
    ? `take ${stream} out of DRAIN_PAUSED when its events may be stored`
    : `when its events may be stored: spillway resume ${stream}`;

/** Data of a version that this release can't read. Of a long list both ends are looked at. */
function versionsOf({ streams }: Context, { versions }: BufferFacts): Finding {
  const unreadable = [...versions].flatMap(([name, { counts }]) => {
    const stream = streams.get(name);
    return stream === undefined
      ? []
      : [...counts]
          .filter(([v]) => whyUnreadable(stream, v) !== undefined)
          .map(([v, n]) => ({
            said: `${n} events of ${name} have version ${v}`,
            state: stateOfVersion(stream, v),
          }));
  });
  const lookedAt = [...versions.values()].reduce((sum, one) => sum + one.lookedAt, 0);
  if (unreadable.length === 0)
    return right(`${lookedAt} events of the buffer were looked at`, "this release reads their versions");
  const isNewer = unreadable.some(({ state }) => state === "newer");
  return wrong(
    `${listed(unreadable.map(({ said }) => said))} (${lookedAt} events of the buffer were looked at)`,
    isNewer
      ? "a newer release buffered them: they wait for it"
      : "the version is in droppedVersions: they become dead letters",
    isNewer
      ? "deploy the newer release of the supervisor"
      : "declare the version again (versions in the stream's file), and deploy",
  );
}
