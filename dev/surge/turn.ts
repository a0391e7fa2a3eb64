/** One target's turn in a surge: it gets the load, the buffer is drained, and every accepted event is looked for. */

import type { SurgeLine, SurgeRequest, SurgeTarget } from "../../lib/contract/surge.ts";
import { type Load, runLoad } from "../load/load.ts";
import { findAccepted } from "./conservation.ts";
import { CONNECTIONS, offerTo } from "./offer.ts";
import type { Place } from "./place.ts";
import { startBuffer, startDirect, type Target } from "./targets.ts";
import { Teller } from "./teller.ts";
import { Watch } from "./watch.ts";

/** How long the buffer is drained afterwards, in milliseconds; less if the surge was stopped. What waits then is told. */
const SETTLE_MS = 15_000;
const SETTLE_STOPPED_MS = 5000;
const SECOND_MS = 1000;
/** What a target gets first, so that its figures are not those of code that runs for the first time. */
const WARMUP = { seconds: 2, perSecond: 100 };

const NAMES = { direct: "direct inserts", buffer: "Spillway" } as const;

/** Runs it to its end, which comes sooner if it is stopped. Returns what the load generator recorded. */
export async function runTurn(
  place: Place,
  target: SurgeTarget,
  { rate, seconds }: SurgeRequest,
  say: (line: SurgeLine) => void,
  signal: AbortSignal,
): Promise<Load> {
  say({ kind: "step", text: `Starting ${NAMES[target]} …` });
  const running = await (target === "direct" ? startDirect : startBuffer)(place);
  await warmUp(place, running, signal);
  say({
    kind: "step",
    text: `Offering ${rate.toLocaleString("en-US")} requests a second to ${NAMES[target]} …`,
  });
  const teller = new Teller(place, running, { target, part: "load" }, say);
  const measured = await runLoad(
    { ...offerTo(running), phases: [{ seconds, perSecond: rate }], connections: CONNECTIONS },
    { signal, onTick: (tick) => teller.tell(tick, rate) },
  );
  await teller.end();
  if (target === "buffer") await settle(place, running, say, signal);
  say({ kind: "step", text: "Looking for every accepted event …" });
  await running.stop();
  say(await findAccepted(place, target, running.name, measured));
  return measured;
}

/** Its events count nowhere: they are drained, and the table is emptied. Throws if they can't be drained. */
async function warmUp(place: Place, running: Target, signal: AbortSignal): Promise<void> {
  await runLoad({ ...offerTo(running), phases: [WARMUP] }, { signal });
  const watch = new Watch(place, running.name);
  const endAtMs = performance.now() + SETTLE_MS;
  while ((await watch.look()).waiting > 0) {
    if (performance.now() > endAtMs) throw new Error("the warm-up's events were not drained");
    await running.drain();
  }
  await place.sql.query(`truncate ${running.name}`);
}

/** Drains until nothing waits, or time is up, and tells each second how far it is. */
async function settle(
  place: Place,
  running: Target,
  say: (line: SurgeLine) => void,
  signal: AbortSignal,
): Promise<void> {
  say({ kind: "step", text: "Draining what waits in the buffer …" });
  const teller = new Teller(place, running, { target: "buffer", part: "settling" }, say);
  const endAtMs = performance.now() + (signal.aborted ? SETTLE_STOPPED_MS : SETTLE_MS);
  while ((await teller.tellQuiet()) > 0 && performance.now() < endAtMs) {
    const tellAtMs = performance.now() + SECOND_MS;
    do await running.drain();
    while ((await teller.countWaiting()) > 0 && performance.now() < tellAtMs);
  }
}
