/** Reads the lines of the surge while its panel is open and the tab is seen, and asks for one, or for its end. */
import { signal } from "@preact/signals";
import type { SurgeLine, SurgeRequest } from "../../../../lib/contract/surge.ts";
import { act } from "../act.ts";
import { untilSeen, whenHidden } from "../seen.ts";
import { ask, openLines, Refused } from "../server.ts";
import { NO_SURGE, withSurgeLines } from "./surge-state.ts";

const PATH = "/api/surge";
/** How long it waits before it comes again, in milliseconds. */
const PAUSE_MS = 2000;

export const surge = signal(NO_SURGE);
/** Why nothing can be read; empty: it can. */
export const trouble = signal("");

/** Follows until the returned function is called. */
export function followSurge(): () => void {
  const leaving = new AbortController();
  void follow(leaving.signal);
  return () => leaving.abort();
}

async function follow(signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await untilSeen();
    const hidden = new AbortController();
    const stopWatching = whenHidden(() => hidden.abort());
    const leaving = AbortSignal.any([signal, hidden.signal]);
    await readOnce(leaving).catch((error: unknown) => {
      if (!leaving.aborted)
        trouble.value = error instanceof Refused ? error.message : "The connection is lost.";
    });
    stopWatching();
    if (!leaving.aborted) await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
}

async function readOnce(signal: AbortSignal): Promise<void> {
  const come = await openLines<SurgeLine>(PATH, signal);
  trouble.value = "";
  for await (const lines of come) surge.value = withSurgeLines(surge.value, lines);
}

/** Begins a surge. */
export const begin = (wanted: SurgeRequest) =>
  act(async () => {
    await ask("POST", PATH, { body: wanted });
    return "The surge has begun.";
  });

/** Stops it. */
export const stop = () =>
  act(async () => {
    await ask("POST", `${PATH}/stop`);
    return "The surge stops: the answers on their way are awaited, and every accepted event is looked for.";
  });
