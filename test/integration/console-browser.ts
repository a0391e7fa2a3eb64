/** The console in Chromium, for a test: it opens the page, and notes each error of its console and each breach of its policy. */
import axe, { type AxeResults } from "axe-core";
import { type Browser, chromium, type Page } from "playwright-core";
import { findBrowser } from "../../dev/stack/find-browser.ts";

/** Starts Chromium without a window; `close` it after the last test. */
export async function launchChromium(): Promise<Browser> {
  const args = process.getuid?.() === 0 ? ["--no-sandbox"] : [];
  return chromium.launch({ executablePath: await findBrowser(), args });
}

export interface OpenedPage {
  page: Page;
  /** What the browser complained of, for the whole life of the page. */
  complaints: string[];
  /** The requests for `GET /live`. */
  lookedOn: string[];
}

/** Opens the console. */
export async function openPage(browser: Browser, url: string, width = 1200): Promise<OpenedPage> {
  const page = await browser.newPage({ viewport: { width, height: 900 } });
  const complaints: string[] = [];
  const lookedOn: string[] = [];
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) complaints.push(message.text());
  });
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("request", (request) => {
    if (request.url().includes("/live")) lookedOn.push(request.url());
  });
  await page.addInitScript(`document.addEventListener("securitypolicyviolation", ({ violatedDirective, blockedURI }) =>
    console.error("policy: " + violatedDirective + " " + blockedURI))`);
  await page.goto(url);
  return { page, complaints, lookedOn };
}

/** Hides the page's tab, or shows it again, as the browser tells it to the page. */
export const hideTab = (page: Page, isHidden: boolean): Promise<unknown> =>
  page.evaluate(`Object.defineProperty(document, "hidden", { value: ${isHidden}, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"))`);

/** The serious and critical faults that axe-core finds, each with where it is. */
export async function seriousFaults(page: Page): Promise<string[]> {
  await page.evaluate(axe.source);
  const { violations } = await page.evaluate<AxeResults>("axe.run(document, { preload: false })");
  return violations
    .filter(({ impact }) => impact === "serious" || impact === "critical")
    .flatMap(({ id, nodes }) =>
      nodes.map(({ target, failureSummary }) => `${id} ${target.join(" ")}: ${failureSummary}`),
    );
}
