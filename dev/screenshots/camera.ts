/** Opens the console in Chromium as somebody would who looks at it, and takes a picture of a part of it. */
import { type Browser, chromium, type Page } from "playwright-core";
import { findBrowser } from "../stack/find-browser.ts";
import type { Picture } from "./pictures.ts";

/** Around what is shown, in pixels. */
const MARGIN = 12;
/** The browser's own window; a picture may be higher. */
const HEIGHT = 900;
/** The first and the last element of a picture. */
const PARTS = { page: ["header", "#letters"], surge: ["#surge", "#surge"] } as const;

/** Starts the browser. */
export async function openCamera(): Promise<Browser> {
  const args = process.getuid?.() === 0 ? ["--no-sandbox"] : [];
  return chromium.launch({ executablePath: await findBrowser(), args });
}

/** Takes a picture of the console at this address; returns the PNG. */
export async function takePicture(browser: Browser, url: string, picture: Picture): Promise<Buffer> {
  const { width, colorScheme, shows } = picture;
  const page = await browser.newPage({ viewport: { width, height: HEIGHT }, colorScheme });
  try {
    await page.goto(url);
    await (shows === "page" ? untilPageIsTold(page) : untilSurgeIsTold(page));
    return await page.screenshot({
      fullPage: true,
      clip: await placeOf(page, picture),
      animations: "disabled",
    });
  } finally {
    await page.close();
  }
}

async function untilPageIsTold(page: Page): Promise<void> {
  await page.locator(".verdict.warn").waitFor();
  await page.locator("#letters .groups").waitFor();
  await page.getByRole("button", { name: "Read tables, dead letters and usage" }).click();
  await page.locator("#streams").getByText("as declared").first().waitFor();
}

async function untilSurgeIsTold(page: Page): Promise<void> {
  await page.locator("#surge > summary").click();
  await page.locator("#surge-doing").getByText("The surge is over.").waitFor();
  await page.locator('#surge-figures [data-target="buffer"] .right').waitFor();
}

async function placeOf(page: Page, { shows, width }: Picture) {
  const [first, last] = PARTS[shows];
  const top = await page.locator(first).boundingBox();
  const bottom = await page.locator(last).boundingBox();
  if (top === null || bottom === null) throw new Error(`the page shows no ${first} or no ${last}`);
  const y = Math.max(0, top.y - MARGIN);
  return { x: 0, y, width, height: bottom.y + bottom.height + MARGIN - y };
}
