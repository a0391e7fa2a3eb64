/** The console's panel of the traffic surge, in a real browser: it runs one, and shows the figures that the surge told. */
import type { Browser } from "playwright-core";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { type Console, startConsole } from "../../dev/console/console-server.ts";
import { supervisorAt } from "../../dev/operate/ask-supervisor.ts";
import { surgeRoutes } from "../../dev/surge/answer-surge.ts";
import { createSurge, type Surge } from "../../dev/surge/surge.ts";
import type { SurgeLine, SurgeTarget } from "../../lib/contract/surge.ts";
import { hasBrowser } from "./browser.ts";
import { launchChromium, type OpenedPage, openPage, seriousFaults } from "./console-browser.ts";
import { openWholeStack, type WholeStack } from "./whole-stack.ts";

const inChromium = test.skipIf(!(await hasBrowser()));
let whole: WholeStack;
let browser: Browser;
let surge: Surge;
let served: Console;
let opened: OpenedPage;
const lines: SurgeLine[] = [];

beforeAll(async () => {
  whole = await openWholeStack(1000);
  const { supervisorUrl, ingestUrl, apiKey } = whole.stack;
  surge = createSurge(whole.stack, { ramp: { rates: [50], stepSeconds: 1, generatorSeconds: 1 } });
  surge.open((line) => lines.push(line));
  const supervisor = supervisorAt(supervisorUrl, async () => undefined);
  const target = { supervisor, ingest: { url: ingestUrl, apiKey }, isProd: false, canWrite: true };
  served = await startConsole({ target, port: 0, routes: surgeRoutes(surge) });
  browser = await launchChromium();
}, 600_000);
afterEach(async () => {
  await opened?.page.close();
  await surge?.stop();
});
afterAll(async () => {
  await browser?.close();
  await served?.close();
  await whole?.close();
});

const button = (name: string) => opened.page.getByRole("button", { name, exact: true });
const figure = (target: SurgeTarget, name: string) =>
  opened.page.locator(`[data-target="${target}"][data-figure="${name}"]`).textContent();

async function openPanel(): Promise<void> {
  opened = await openPage(browser, served.url);
  await opened.page.locator("#surge summary").click();
  await button("Start").waitFor();
}

inChromium(
  "somebody drags the slider, and sees both targets' figures as they were told, and that all is conserved",
  async () => {
    await openPanel();
    await opened.page.locator("#surge-rate").fill("200");
    await opened.page.locator("#surge-seconds").fill("5");
    await button("Start").click();
    await button("Stop").waitFor();
    await opened.page.locator("#surge-doing").getByText("The surge is over.").waitFor({ timeout: 100_000 });

    for (const target of ["direct", "buffer"] as const) {
      const conserved = lines.find((line) => line.kind === "conserved" && line.target === target);
      expect(conserved).toMatchObject({ offered: 1000, accepted: 1000, isKept: true });
      expect(await figure(target, "Offered")).toBe("1,000");
      expect(await figure(target, "Answered")).toBe("1,000");
      expect(await figure(target, "Errors")).toBe("0");
      expect(await figure(target, "Conserved")).toBe("1,000 accepted = 1,000 stored + 0 dead + 0 waiting.");
      const last = lines.filter((line) => line.kind === "second" && line.target === target).at(-1);
      expect(await figure(target, "Rows stored")).toBe(
        last?.kind === "second" ? last.stored.toLocaleString("en-US") : "",
      );
    }
    const calibrated = lines.find((line) => line.kind === "calibrated");
    expect(await opened.page.locator("#surge-machine").textContent()).toBe(calibrated?.text);
    expect(await seriousFaults(opened.page)).toEqual([]);
    expect(opened.complaints).toEqual([]);

    await opened.page.reload();
    await opened.page.locator("#surge summary").click();
    await opened.page.locator("#surge-doing").getByText("The surge is over.").waitFor();
    expect(await figure("buffer", "Answered")).toBe("1,000");
  },
);

inChromium("a surge is stopped by its button, and the page says so", async () => {
  await openPanel();
  await opened.page.locator("#surge-mode").selectOption("direct");
  await button("Start").click();
  await opened.page.locator('[data-target="direct"][data-figure="Offered"]').waitFor();
  await button("Stop").click();
  await opened.page.locator("#surge-doing").getByText("The surge was stopped.").waitFor();
  expect(lines.findLast((line) => line.kind === "conserved")).toMatchObject({
    target: "direct",
    isKept: true,
  });
  expect(opened.complaints).toEqual([]);
});

inChromium("what can't be offered is refused with the surge's sentence", async () => {
  await openPanel();
  await opened.page.locator("#surge-seconds").fill("61");
  await button("Start").click();
  await opened.page.locator("#said").getByText("seconds: expected a whole number from 5 to 60").waitFor();
  expect(lines.at(-1)?.kind).toBe("ended"); // of the surge before
});
