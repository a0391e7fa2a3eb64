/**
 * The console in a real browser, on a whole local system: it says how it is, shows events as they are stored, and mends what is wrong by its
 * buttons. Each event is conserved by its id.
 */
import type { Browser } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { type Console, startConsole } from "../../dev/console/console-server.ts";
import type { ConsoleTarget } from "../../dev/console/forward.ts";
import { supervisorAt } from "../../dev/operate/ask-supervisor.ts";
import { createPauses } from "../../lib/buffer/pauses.ts";
import { connectRedis } from "../../lib/buffer/redis-client.ts";
import { askConsole, tokenOf } from "./ask-console.ts";
import { hasBrowser } from "./browser.ts";
import { hideTab, launchChromium, type OpenedPage, openPage, seriousFaults } from "./console-browser.ts";
import { whereabouts } from "./test-stack.ts";
import { openWholeStack, type WholeStack } from "./whole-stack.ts";

const canLook = await hasBrowser();
let whole: WholeStack;
let browser: Browser;
let served: Console;
/** A console that may only read. */
let reading: Console;
let opened: OpenedPage;
/** The ids that were answered, by stream, without those that were deleted. */
const accepted = new Map<string, string[]>();

/** From now on the table refuses a row whose type is poison (23514). */
const REFUSE_POISON = "alter table activities add constraint no_poison check (type <> 'poison') not valid";
const activity = (type: string) => ({ contactId: CONTACT, type, description: "by a test" });
const CONTACT = "3f2b8a52-6c1e-4b0a-9d53-0d8f0c8e7a11";

beforeAll(async () => {
  whole = await openWholeStack(1000);
  const { supervisorUrl, ingestUrl, apiKey } = whole.stack;
  const target: ConsoleTarget = {
    supervisor: supervisorAt(supervisorUrl, async () => undefined),
    ingest: { url: ingestUrl, apiKey },
    isProd: false,
    canWrite: true,
  };
  await whole.servers.sql.query(REFUSE_POISON);
  served = await startConsole({ target, port: 0 });
  reading = await startConsole({ target: { ...target, isProd: true, canWrite: false }, port: 0 });
  if (canLook) browser = await launchChromium();
}, 600_000);
afterEach(() => opened?.page.close());
afterAll(async () => {
  await browser?.close();
  await served?.close();
  await reading?.close();
  await whole?.close();
});

async function post(stream: string, events: object): Promise<string[]> {
  const { ingestUrl, apiKey } = whole.stack;
  const response = await fetch(`${ingestUrl}/v1/${stream}`, {
    method: "POST",
    headers: { authorization: `Bearer ${apiKey}`, "content-type": "application/json" },
    body: JSON.stringify(events),
  });
  const { ids = [] } = (await response.json()) as { ids?: string[] };
  expect(response.ok).toBe(true);
  accepted.set(stream, [...(accepted.get(stream) ?? []), ...ids]);
  return ids;
}

/** An event that the test itself has deleted is not looked for. */
const forget = (stream: string, id: string) =>
  accepted.set(
    stream,
    (accepted.get(stream) ?? []).filter((one) => one !== id),
  );

const button = (name: string | RegExp) =>
  opened.page.getByRole("button", { name, ...(typeof name === "string" ? { exact: true } : {}) });
const verdict = () => opened.page.locator("#verdict");
const untilVerdict = (text: RegExp) => verdict().filter({ hasText: text }).waitFor();
const isStored = async (stream: string, id: string) =>
  (await whereabouts(whole.servers, stream)).stored.includes(id);
const untilStored = (stream: string, id: string) =>
  expect.poll(() => isStored(stream, id), { timeout: 30_000, interval: 50 }).toBe(true);

/** The quickest of some tries, in milliseconds: on a busy machine a single one says more of the machine than of the page. */
async function quickest(isEnoughMs: number, tryOnce: () => Promise<number>): Promise<number> {
  let best = Infinity;
  for (let tries = 0; tries < 5 && best >= isEnoughMs; tries++) best = Math.min(best, await tryOnce());
  return best;
}

/** Notes by the page's clock, which is this machine's, when a text is there for the first time. Returns how to read it. */
async function noteWhenShown(page: OpenedPage["page"]): Promise<(text: string) => Promise<number>> {
  await page.evaluate(`globalThis.firstSeenMs = new Map();
    new MutationObserver(() => {
      for (const { textContent } of document.querySelectorAll("#live code"))
        if (!firstSeenMs.has(textContent)) firstSeenMs.set(textContent, Date.now());
    }).observe(document.getElementById("live"), { childList: true, subtree: true, characterData: true })`);
  return (text) => page.evaluate<number>(`firstSeenMs.get(${JSON.stringify(text)})`);
}

async function expectConserved(): Promise<void> {
  await whole.drainAll();
  for (const [stream, ids] of accepted) {
    const { stored, dead, held, buffered } = await whereabouts(whole.servers, stream);
    expect([...stored, ...dead, ...held, ...buffered].sort()).toEqual([...ids].sort());
  }
}

describe.skipIf(!canLook)("a person looks at the page and", () => {
  test("reads the verdict within a second", async () => {
    opened = await openPage(browser, served.url);
    const tookMs = await quickest(1000, async () => {
      await untilVerdict(/^All is well/);
      const mark = await opened.page.evaluate<number>(
        `performance.getEntriesByName("first-verdict")[0].startTime`,
      );
      await opened.page.reload();
      return mark;
    });
    expect(tookMs).toBeLessThan(1000);
    await untilVerdict(/^All is well/);
    expect(new URL(opened.page.url()).hash).toBe(""); // a screenshot shows no token
    await opened.page.reload();
    await untilVerdict(/^All is well/);
    expect(opened.complaints).toEqual([]);
  });

  test("sees an event and a lead land, and sends one", async () => {
    opened = await openPage(browser, served.url);
    await untilVerdict(/^All is well/);
    const noted = await noteWhenShown(opened.page);
    const shownAfterMs = async (stream: string, place: string, event: object) => {
      const [id = ""] = await post(stream, event);
      const postedMs = Date.now();
      await opened.page.locator(place).getByText(id).waitFor();
      return (await noted(id)) - postedMs;
    };
    const event = { type: "seen", payload: { secret: "not on the page" } };
    expect(await quickest(2000, () => shownAfterMs("events", "#batches", event))).toBeLessThan(2000);
    const lead = { name: "Ada", source: "fair" };
    expect(await quickest(2000, () => shownAfterMs("leads", '[data-rows-of="leads"]', lead))).toBeLessThan(
      2000,
    );

    await opened.page.locator("#send-stream").selectOption("activities");
    await opened.page.locator("#send-event").fill(JSON.stringify(activity("sent")));
    await button("Send").click();
    const answer = await opened.page.locator("#send-answer").textContent();
    const [sent = ""] = (JSON.parse(answer?.slice(4) ?? "") as { ids: string[] }).ids;
    accepted.set("activities", [...(accepted.get("activities") ?? []), sent]);
    await opened.page.locator("#batches").getByText(sent).waitFor();
    expect(await opened.page.content()).not.toContain("not on the page");
    expect(opened.complaints).toEqual([]);
    await expectConserved();
  });

  test("reads a stored event only by asking for it, and hears if its row is gone", async () => {
    opened = await openPage(browser, served.url);
    await untilVerdict(/^All is well/);
    const [first = "", second = ""] = await post("events", [
      { type: "asked", payload: { secret: "when asked" } },
      { type: "asked", payload: { secret: "and deleted" } },
    ]);
    await opened.page.locator("#batches").getByText(first).waitFor();
    expect(await opened.page.content()).not.toContain("when asked");
    await button(`Show the event ${first}`).click();
    await opened.page.locator("#shown-event").getByText('"secret": "when asked"').waitFor();
    await whole.servers.sql.query("delete from events where id = $1", [second]);
    forget("events", second);
    await button(`Show the event ${second}`).click();
    await opened.page.locator("#shown-event").getByText(`has no row ${second}`).waitFor();
    expect(opened.complaints.filter((one) => !one.includes("404"))).toEqual([]);
    await expectConserved();
  });

  test("finds a poison row as a dead letter, mends its cause, redrives it, and it is gone", async () => {
    const { sql } = whole.servers;
    opened = await openPage(browser, served.url);
    await untilVerdict(/^All is well/);
    const [poison = ""] = await post("activities", [activity("poison"), activity("call")]);
    await untilVerdict(/^1 dead letter of activities waits for you\.$/);
    const group = opened.page.locator("#letters li", { hasText: "23514" }).first();
    await group.getByRole("button", { name: /^Show/ }).click();
    await button(`Show the event ${poison}`).click();
    await group.getByText('"type": "poison"').waitFor();
    await group.getByRole("button", { name: /^Dry run/ }).click();
    await opened.page.locator("#said", { hasText: "0 would be stored, 1 refused again" }).waitFor();

    await sql.query("alter table activities drop constraint no_poison");
    await group.getByRole("button", { name: /^Redrive/ }).click();
    await opened.page.locator("#letters").getByText("There are no dead letters.").waitFor();
    await untilVerdict(/^All is well/);
    await untilStored("activities", poison);
    await sql.query(REFUSE_POISON);
    expect(opened.complaints).toEqual([]);
    await expectConserved();
  });

  test("purges a dead letter only with its count typed in", async () => {
    opened = await openPage(browser, served.url);
    await post("activities", [activity("call")]);
    const [poison = ""] = await post("activities", [activity("poison"), activity("call")]);
    const group = opened.page.locator("#letters li", { hasText: "23514" }).first();
    await group.getByRole("button", { name: /^Purge/ }).click();
    const purge = group.getByRole("button", { name: "Purge", exact: true });
    await group.getByLabel(/^Their events will be lost/).fill("2");
    expect(await purge.isDisabled()).toBe(true);
    await group.getByLabel(/^Their events will be lost/).fill("1");
    await purge.click();
    await opened.page.locator("#letters").getByText("There are no dead letters.").waitFor();
    forget("activities", poison);
    expect(opened.complaints).toEqual([]);
    await expectConserved();
  });

  test("pauses a stream, sees why it waits, and resumes it by the verdict's button", async () => {
    opened = await openPage(browser, served.url);
    await untilVerdict(/^All is well/);
    await button("Pause activities …").click();
    await opened.page.getByLabel("why").fill("a new column");
    await button("Pause activities").click();
    await untilVerdict(
      /^activities is paused since \d\d:\d\d until \d\d:\d\d \(a new column\): 0 events wait\.$/,
    );
    const [id = ""] = await post("activities", activity("call"));
    await untilVerdict(/: 1 event waits\.$/);

    await opened.page.close(); // another person, and a supervisor that was started again
    await whole.killSupervisor();
    opened = await openPage(browser, served.url);
    await untilVerdict(
      /^activities is paused since \d\d:\d\d until \d\d:\d\d \(a new column\): 1 event waits\.$/,
    );
    expect(await isStored("activities", id)).toBe(false);
    await button(/^Resume: activities is paused/).click();
    await untilVerdict(/^All is well/);
    await untilStored("activities", id);
    expect(opened.complaints).toEqual([]);
    await expectConserved();
  });

  test("sees that somebody else pauses a stream, and ends the pause", async () => {
    opened = await openPage(browser, served.url);
    await untilVerdict(/^All is well/);
    const other = createPauses(connectRedis(whole.stack, 2000));
    await other.pause("activities", { forMs: 3_600_000, by: "ann@example.org", why: undefined });
    await untilVerdict(/^activities is paused since \d\d:\d\d until \d\d:\d\d by ann@example\.org/);
    await other.resume("activities");
    await untilVerdict(/^All is well/);
    expect(opened.complaints).toEqual([]);
  });

  test("goes on when the supervisor was started again: its count begins anew, and says since when", async () => {
    opened = await openPage(browser, served.url);
    await untilVerdict(/^All is well: the drain stored/);
    const [id = ""] = await post("activities", activity("call"));
    await untilStored("activities", id);
    await untilVerdict(/stored [1-9]\d* events? /);
    await whole.killSupervisor();
    await untilVerdict(/^All is well: the drain stored 0 events (?:since \d\d:\d\d|today), nothing waits\.$/);
    await expectConserved();
  });

  test("has every check made, and reads who sent what", async () => {
    opened = await openPage(browser, served.url);
    await untilVerdict(/^All is well/);
    await opened.page.locator("#doctor > summary").click();
    await button("Make every check").click();
    await opened.page.locator("#checks td.right").first().waitFor();
    await opened.page.locator("#senders > summary").click();
    await opened.page.locator("#usage").waitFor();
    expect(opened.complaints).toEqual([]);
  });

  test("hides the tab: nobody is asked any more; when it is seen again, it goes on where it was", async () => {
    opened = await openPage(browser, served.url);
    await untilVerdict(/^All is well/);
    await hideTab(opened.page, true);
    await opened.page
      .getByText(/^This tab is hidden\. Nothing new is shown: .* was so at \d\d:\d\d:\d\d\.$/)
      .waitFor();
    const before = opened.lookedOn.length;
    const [id = ""] = await post("events", { type: "unseen", payload: 1 });
    await untilStored("events", id);
    expect(opened.lookedOn).toHaveLength(before);
    await hideTab(opened.page, false);
    await opened.page.locator("#batches").getByText(id).waitFor();
    expect(opened.lookedOn.at(-1)).toMatch(/after=/);
    expect(opened.complaints).toEqual([]);
    await expectConserved();
  });

  test.each(["light", "dark"] as const)(
    "finds no serious fault with axe-core, in %s and at 360 px",
    async (colorScheme) => {
      opened = await openPage(browser, served.url, 360);
      const { page, complaints } = opened;
      await page.emulateMedia({ colorScheme });
      await untilVerdict(/^All is well/);
      await button("Pause events …").click();
      for (const panel of ["senders", "doctor"]) await page.locator(`#${panel} > summary`).click();
      await button("Make every check").click();
      await page.locator("#checks td.right").first().waitFor();
      expect(await seriousFaults(page)).toEqual([]);
      expect(await page.evaluate("document.documentElement.scrollWidth")).toBeLessThanOrEqual(360);
      expect(complaints).toEqual([]);
    },
  );
});

describe("with --prod and without --write", () => {
  test.skipIf(!canLook)(
    "the page says so, asks no panel that needs Postgres, and its writing buttons are off",
    async () => {
      opened = await openPage(browser, reading.url);
      await untilVerdict(/^All is well/);
      await opened.page.getByText("production, read-only").waitFor();
      expect(await button("Drain all now").isDisabled()).toBe(true);
      expect(opened.lookedOn.filter((url) => url.includes("panels"))).toEqual([]);
      expect(opened.complaints).toEqual([]);
    },
  );

  test.skipIf(!canLook)(
    "dead letters are said without asking Postgres, and counted when they are shown",
    async () => {
      const [poison = ""] = await post("activities", [activity("poison"), activity("call")]);
      opened = await openPage(browser, reading.url);
      await untilVerdict(
        /^\d events? of activities became (?:a dead letter|dead letters) since \d\d:\d\d\.$/,
      );
      expect(opened.lookedOn.filter((url) => url.includes("panels"))).toEqual([]);
      await button(/^Show: \d events? of activities became/).click();
      await untilVerdict(/^1 dead letter of activities waits for you\.$/);
      await opened.page.locator("#letters > summary").click();
      await untilVerdict(/^1 dead letter of activities waited at \d\d:\d\d\.$/);
      const [id = ""] = (await whereabouts(whole.servers, "activities")).stored;
      const headers = { "x-spillway-console": tokenOf(reading) };
      expect(
        await askConsole(reading, "GET", `/api/supervisor/streams/activities/events/${id}`, headers),
      ).toMatchObject([200, { stream: "activities", id }]);
      await whole.servers.sql.query("delete from dead_letters where id = $1", [poison]);
      forget("activities", poison);
      expect(opened.complaints).toEqual([]);
      await expectConserved();
    },
  );

  test("a POST is refused with a sentence, and a GET is answered", async () => {
    const headers = { "x-spillway-console": tokenOf(reading) };
    expect(await askConsole(reading, "POST", "/api/supervisor/drain", headers)).toMatchObject([
      403,
      { title: "The console is read-only", detail: expect.stringContaining("--write") },
    ]);
    expect(await askConsole(reading, "GET", "/api/supervisor/status", headers)).toMatchObject([200, {}]);
  });
});
