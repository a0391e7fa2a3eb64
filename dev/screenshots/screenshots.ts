/**
 * `npm run screenshots`: makes the pictures of docs/images/. It starts a whole local system and a console in a temporary folder, sends a
 * shop's traffic, pauses a stream, lets a surge run, and takes the pictures in Chromium. It ends and removes what it started, also after
 * Ctrl-C, and gives up after ten minutes.
 *
 *     --seconds N    how long there is traffic before the first picture (150)
 *     --out FOLDER   where the pictures go (docs/images)
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import type { Page } from "playwright-core";
import { projectRoot } from "../load/children.ts";
import { supervisorAt } from "../operate/ask-supervisor.ts";
import type { Surge } from "../surge/surge.ts";
import { openCamera, openConsolePage, takePicture } from "./camera.ts";
import { PICTURE_MAX_BYTES, PICTURES, type Picture } from "./pictures.ts";
import { openShop, type Shop } from "./shop.ts";
import { sendTraffic } from "./traffic.ts";

const GIVE_UP_MS = 600_000;
const SURGE = { rate: 2000, seconds: 20, mode: "both" } as const;
/** When a stream is paused, as a share of the traffic's time. */
const PAUSE_AT = 0.8;

const { values } = parseArgs({
  options: {
    seconds: { type: "string", default: "150" },
    out: { type: "string", default: join(projectRoot, "docs", "images") },
  },
});
const seconds = Number(values.seconds);
const stopping = new AbortController();
for (const name of ["SIGINT", "SIGTERM"] as const) process.once(name, () => stopping.abort());
const signal = AbortSignal.any([stopping.signal, AbortSignal.timeout(GIVE_UP_MS)]);

const ends: (() => unknown)[] = [];
const given = new Promise<never>((_, reject) => {
  signal.addEventListener("abort", () => reject(new Error("stopped before the last picture")));
});
let exitCode = 0;
try {
  await Promise.race([takeAll(), given]);
} catch (error) {
  console.error((error as Error).message);
  exitCode = 1;
}
for (const end of ends.reverse()) await Promise.resolve(end()).catch(() => {});
process.exit(exitCode);

async function takeAll(): Promise<void> {
  const shop = await openShop((end) => ends.push(end), signal);
  const browser = await openCamera();
  ends.push(() => browser.close());
  const page = await openConsolePage(browser, shop.console.url);
  const take = (shows: Picture["shows"]) => takeThose(page, shows);
  await withTraffic(shop, () => take("page"));
  await runSurge(shop.surge);
  await take("surge");
}

/** Sends traffic, pauses a stream, and runs something while the traffic goes on. */
async function withTraffic({ stack }: Shop, run: () => Promise<void>): Promise<void> {
  console.log(`Sending a shop's traffic for ${seconds} s …`);
  const over = new AbortController();
  const sending = sendTraffic(stack, seconds, AbortSignal.any([over.signal, signal]));
  await Promise.race([sending, sleep(seconds * PAUSE_AT * 1000, undefined, { signal })]);
  await supervisorAt(stack.supervisorUrl, async () => undefined).ask("POST", "/streams/orders/pause", {
    body: { for: "1h", why: "a new column" },
  });
  await Promise.race([sending, sleep(seconds * (1 - PAUSE_AT) * 1000, undefined, { signal })]);
  await run();
  over.abort();
  await sending;
}

async function runSurge(surge: Surge): Promise<void> {
  console.log(`Running a surge of ${SURGE.rate} requests a second …`);
  let close = () => {};
  const ended = new Promise<void>((resolve) => {
    close = surge.open((line) => line.kind === "ended" && resolve());
  });
  await surge.start(SURGE);
  await ended;
  close();
}

async function takeThose(page: Page, shows: Picture["shows"]): Promise<void> {
  mkdirSync(values.out, { recursive: true });
  for (const picture of PICTURES.filter((one) => one.shows === shows)) {
    const png = await takePicture(page, picture);
    writeFileSync(join(values.out, picture.file), png);
    console.log(`${picture.file}: ${Math.round(png.length / 1000)} kB`);
    if (png.length > PICTURE_MAX_BYTES)
      throw new Error(`${picture.file} is larger than ${PICTURE_MAX_BYTES} bytes`);
  }
}
