/**
 * Follows `GET /live` for as long as somebody looks: it comes again by its cursor after an end, rests while the tab is hidden and after an
 * end for idleness, and opens anew when a panel wants lines that ask Postgres, or wants them no more.
 */
import { effect } from "@preact/signals";
import { CONSOLE_SUPERVISOR } from "../../../lib/contract/console.ts";
import type { LiveEnd, LiveLine } from "../../../lib/contract/live.ts";
import { LIVE_SILENCE_MS } from "../../../lib/contract/live-bounds.ts";
import { withLiveLines } from "./model/live-state.ts";
import type { Connection } from "./model/verdict.ts";
import { nextEvent, untilSeen, whenHidden } from "./seen.ts";
import { openLines, Refused } from "./server.ts";
import { connection, heardMs, live, nowMs, said, wantedLines } from "./state.ts";

/** How long it waits after each failure in a row, in milliseconds. */
const PAUSES_MS = [500, 1000, 2000, 5000];

/** Why a response ended: its last line said so, or the page itself left. */
type Ending = LiveEnd["reason"] | "left";

/** Follows until the page is closed. */
export async function followLive(): Promise<void> {
  tickWhileSeen();
  let failures = 0;
  for (;;) {
    if (document.hidden) connection.value = { kind: "resting", why: "This tab is hidden." };
    await untilSeen();
    try {
      const ending = await readOnce();
      failures = 0;
      if (ending === "idle") await rest("Nothing has changed for 10 minutes.");
      if (ending === "ending" || ending === "behind") await sleep(1000);
    } catch (error) {
      if (wantsLess(error)) continue;
      connection.value = lostBy(error);
      await sleep(PAUSES_MS[Math.min(failures++, PAUSES_MS.length - 1)] ?? 0);
    }
  }
}

/** What became of the connection, in a sentence. The console itself did not answer, or not to this page, or the supervisor did not. */
export const lostBy = (error: unknown): Extract<Connection, { kind: "lost" }> =>
  error instanceof Refused
    ? { kind: "lost", why: error.message, isOfSupervisor: error.status !== 0 && error.status !== 401 }
    : { kind: "lost", why: "The connection to the supervisor is lost.", isOfSupervisor: true };

/** Reads one response to its end. Throws a Refused if there is none. */
async function readOnce(): Promise<Ending> {
  const leaving = new AbortController();
  let hasLeft = false;
  const leave = () => {
    hasLeft = true;
    leaving.abort();
  };
  const stopWatching = leaveWhenUnwanted(leave);
  let silence: ReturnType<typeof setTimeout> | undefined;
  const hear = () => {
    clearTimeout(silence);
    silence = setTimeout(() => leaving.abort(), 2 * LIVE_SILENCE_MS);
  };
  try {
    hear();
    const come = await openLines<LiveLine>(`${CONSOLE_SUPERVISOR}${pathOf()}`, leaving.signal);
    for await (const lines of come) {
      hear();
      take(lines);
      const last = lines.at(-1);
      if (last?.kind === "end") return last.reason;
    }
    return "ending";
  } catch (error) {
    if (hasLeft) return "left";
    throw error;
  } finally {
    clearTimeout(silence);
    stopWatching();
  }
}

/**
 * The supervisor refuses a request for a table that it does not know any more: another release was deployed. Then no table is wanted.
 * Returns whether that changed anything.
 */
function wantsLess(error: unknown): boolean {
  if (!(error instanceof Refused) || error.status !== 400) return false;
  const rest = [...wantedLines.value].filter((one) => !one.startsWith("stored:"));
  if (rest.length === wantedLines.value.size) return false;
  wantedLines.value = new Set(rest);
  said.value = error.message;
  return true;
}

function take(lines: readonly LiveLine[]): void {
  const now = Date.now();
  nowMs.value = now;
  heardMs.value = now;
  live.value = withLiveLines(live.value, lines, now);
  connection.value = { kind: "following" };
}

function pathOf(): string {
  const query = new URLSearchParams();
  const { hello, cursor } = live.value;
  if (hello !== undefined) query.set("after", `${hello.ring}:${cursor}`);
  if (wantedLines.value.size > 0) query.set("panels", [...wantedLines.value].join(","));
  return query.size > 0 ? `/live?${query}` : "/live";
}

/** Leaves when the tab is hidden, or when other lines are wanted. Returns how to stop watching. */
function leaveWhenUnwanted(leave: () => void): () => void {
  const wanted = wantedLines.peek();
  const stop = effect(() => {
    if (wantedLines.value !== wanted) leave();
  });
  const stopHidden = whenHidden(leave);
  return () => {
    stop();
    stopHidden();
  };
}

/** Rests until somebody is there. */
async function rest(why: string): Promise<void> {
  connection.value = { kind: "resting", why };
  await Promise.race(["pointermove", "pointerdown", "keydown", "visibilitychange"].map(nextEvent));
}

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

function tickWhileSeen(): void {
  setInterval(() => {
    if (!document.hidden) nowMs.value = Date.now();
  }, 1000);
}
