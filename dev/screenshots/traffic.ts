/** Traffic as a small shop has it: page views in waves with one burst, orders, readings of sensors of which one is broken, and a few sign-ups. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Stack } from "../stack/stack.ts";

const TICK_MS = 250;
/** Where in the time the burst is, and how long it lasts, as shares of it. */
const BURST = { from: 0.45, to: 0.5, perSecond: 900 };
/** So often the broken sensor tells something impossible, in ticks. */
const BROKEN_EVERY = 60;
const BROKEN_UNTIL = 0.75;

const PATHS = ["/", "/products", "/products/kettle", "/cart", "/checkout"];
const SKUS = ["kettle-red", "kettle-blue", "teapot", "cup-set"];
const PLANS = ["free", "team"];

type Where = Pick<Stack, "ingestUrl" | "apiKey">;

/** Sends until it is told that it is over; the burst comes within the first `seconds`. Throws if an event is not taken. */
export async function sendTraffic(where: Where, seconds: number, over: AbortSignal): Promise<void> {
  const ticks = (seconds * 1000) / TICK_MS;
  const startedAtMs = performance.now();
  for (let tick = 0; !over.aborted; tick++) {
    await sendTick(where, tick, tick / ticks);
    await sleep(Math.max(0, startedAtMs + (tick + 1) * TICK_MS - performance.now()));
  }
}

async function sendTick(where: Where, tick: number, share: number): Promise<void> {
  const isBurst = share >= BURST.from && share < BURST.to;
  const perSecond = isBurst ? BURST.perSecond : 60 + 40 * Math.sin(share * 20);
  const views = Math.round((perSecond * TICK_MS) / 1000);
  await Promise.all([
    post(where, "page_views", views, (i) => ({ path: pick(PATHS, tick * 3 + i) })),
    post(where, "orders", 1 + (tick % 3), (i) => ({
      sku: pick(SKUS, tick + i),
      cents: 1900 + 350 * (tick % 7),
    })),
    post(where, "readings", 4, (i) => reading(tick, share, i)),
    tick % 8 === 0 && post(where, "signups", 1, () => ({ plan: pick(PLANS, tick / 8) })),
  ]);
}

/** The sensor is mended before the pictures are taken, so that the page has told of all its letters. */
function reading(tick: number, share: number, sensor: number): object {
  const isBroken = sensor === 3 && share < BROKEN_UNTIL && tick % BROKEN_EVERY === BROKEN_EVERY - 1;
  return { sensor: `hall-${sensor + 1}`, celsius: isBroken ? -999 : 18 + sensor + (tick % 9) / 10 };
}

const pick = <T>(from: readonly T[], i: number): T => from[i % from.length] as T;

async function post(
  { ingestUrl, apiKey }: Where,
  stream: string,
  count: number,
  make: (i: number) => object,
) {
  const response = await fetch(`${ingestUrl}/v1/${stream}`, {
    method: "POST",
    headers: { authorization: `Bearer ${apiKey}`, "content-type": "application/json" },
    body: JSON.stringify(Array.from({ length: count }, (_, i) => make(i))),
  });
  if (!response.ok)
    throw new Error(`ingest answered ${response.status} to ${stream}: ${await response.text()}`);
  await response.arrayBuffer();
}
