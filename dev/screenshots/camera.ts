/** Opens the console in Chromium as somebody would who looks on, and takes pictures of parts of it. */
import { type Browser, chromium, type Page } from "playwright-core";
import { findBrowser } from "../stack/find-browser.ts";
import type { Picture } from "./pictures.ts";

/** Below the last panel, in pixels. */
const MARGIN = 12;
/** Of the browser's window; a picture may be higher. */
const HEIGHT = 900;

/** Starts the browser. */
export async function openCamera(): Promise<Browser> {
  const args = process.getuid?.() === 0 ? ["--no-sandbox"] : [];
  return chromium.launch({ executablePath: await findBrowser(), args });
}

/** Opens the console, which looks on from now on: what waits is in the history only while somebody does. */
export async function openConsolePage(browser: Browser, url: string): Promise<Page> {
  const page = await browser.newPage({ viewport: { width: 1000, height: HEIGHT } });
  await page.goto(url);
  return page;
}

/** Takes a picture; returns the PNG. */
export async function takePicture(page: Page, { width, colorScheme, shows }: Picture): Promise<Buffer> {
  await page.setViewportSize({ width, height: HEIGHT });
  await page.emulateMedia({ colorScheme });
  if (shows === "surge") return pictureOfSurge(page);
  await untilPageIsTold(page);
  const last = await page.locator("#letters").boundingBox();
  if (last === null) throw new Error("the page shows no dead letters");
  const clip = { x: 0, y: 0, width, height: last.y + last.height + MARGIN };
  return page.screenshot({ fullPage: true, clip, animations: "disabled" });
}

async function untilPageIsTold(page: Page): Promise<void> {
  await page.locator(".verdict.warn").waitFor();
  await page.locator("#letters .groups").waitFor();
  const read = page.getByRole("button", { name: "Read tables, dead letters and usage" });
  await read.click();
  await page.locator("#streams").getByText("as declared").first().waitFor();
  await read.and(page.locator(":enabled")).waitFor();
  await page.evaluate("document.activeElement.blur(); scrollTo(0, 0)");
}

async function pictureOfSurge(page: Page): Promise<Buffer> {
  const panel = page.locator("#surge");
  if ((await panel.getAttribute("open")) === null) await panel.locator("> summary").click();
  await page.locator("#surge-doing").getByText("The surge is over.").waitFor();
  await page.locator('#surge-figures [data-target="buffer"] .right').waitFor();
  await page.evaluate("document.activeElement.blur()");
  return panel.screenshot({ animations: "disabled" });
}
