/**
 * The page at its worst: letters that are gone before somebody presses a button, more groups than an answer holds, and texts that try to be
 * markup or that have no end. In place of a system there is a server that answers as a supervisor does.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import type { Browser } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type Console, startConsole } from "../../dev/console/console-server.ts";
import { supervisorAt } from "../../dev/operate/ask-supervisor.ts";
import { hasBrowser } from "./browser.ts";
import { hideTab, launchChromium, type OpenedPage, openPage, seriousFaults } from "./console-browser.ts";

const canLook = await hasBrowser();
const AT = "2026-11-28T10:00:00.000Z";

interface Letter {
  id: string;
  reason: string;
}

/** What the server says; a test changes it. */
let reasons: string[] = [];
let letters: Letter[] = [];
let streams: string[] = [];
let happened: object[] = [];
/** The bodies of redrives and purges. */
let asked: { path: string; body: { ids: string[] } }[] = [];
let surgeReaders = 0;
const looking = new Set<ServerResponse>();

let system: Server;
let served: Console;
let browser: Browser;
let opened: OpenedPage;

beforeAll(async () => {
  system = createServer((req, res) => void answer(req, res));
  await new Promise<void>((resolve) => system.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${(system.address() as AddressInfo).port}`;
  const supervisor = supervisorAt(url, async () => undefined);
  const target = { supervisor, ingest: { url, apiKey: "key" }, isProd: false, canWrite: true };
  served = await startConsole({ target, port: 0, routes: new Map([["GET /api/surge", readSurge]]) });
  if (canLook) browser = await launchChromium();
}, 300_000);
beforeEach(() => {
  [reasons, letters, streams, happened, asked] = [["bad"], [], ["orders"], [], []];
});
afterEach(() => opened?.page.close());
afterAll(async () => {
  await browser?.close();
  await served.close();
  system.closeAllConnections();
  system.close();
});

async function readSurge(_: IncomingMessage, res: ServerResponse): Promise<void> {
  surgeReaders += 1;
  res.once("close", () => (surgeReaders -= 1));
  const hello = { kind: "hello", isRunning: false, calibrated: null };
  const bounds = { rateMin: 50, rateMax: 5000, secondsMin: 5, secondsMax: 60 };
  res.writeHead(200, { "content-type": "application/x-ndjson" });
  res.write(`${JSON.stringify({ ...hello, ...bounds })}\n`);
}

async function answer(req: IncomingMessage, res: ServerResponse): Promise<void> {
  const { pathname, searchParams } = new URL(req.url ?? "", "http://system");
  if (pathname === "/live") return tellLive(res, searchParams.get("panels") ?? "", searchParams.has("after"));
  const body = req.method === "POST" ? (await text(req)) || "{}" : "{}";
  res.writeHead(200, { "content-type": "application/json" });
  res.end(JSON.stringify(answerOf(pathname, searchParams, JSON.parse(body) as { ids: string[] })));
}

function answerOf(path: string, query: URLSearchParams, body: { ids: string[] }): object {
  if (path.endsWith("/redrive") || path.endsWith("/purge")) {
    asked.push({ path, body });
    const before = letters.length;
    letters = letters.filter(({ id }) => !body.ids.includes(id));
    if (letters.length === 0) reasons = [];
    const done = { letters: before - letters.length, live: before - letters.length, redriven: 0 };
    const none = { stored: 0, refused: 0, there: 0, skipped: 0, skippedLetters: [], groups: [] };
    return { ...none, ...done, stopped: null, next: null };
  }
  if (path === "/drain") return { streams: [] };
  if (path.endsWith("/resume")) {
    happened = [];
    for (const look of looking) look.write(`${JSON.stringify(resumed())}\n`);
    return { note: "The next tick drains it." };
  }
  if (path === "/status") return { streams: [] };
  if (path === "/usage") return { hours: [] };
  if (path !== "/dead-letters") return { paths: {} };
  const base = { stream: "orders", sqlstate: "23514" };
  if (query.get("each") === "1")
    return {
      letters: letters.map((one) => ({ ...base, ...one, burials: 1, diedAt: AT, retryAt: null })),
      next: null,
    };
  const times = { firstDiedAt: AT, lastDiedAt: AT };
  const groups = reasons.map((reason) => ({ ...base, ...times, reason, isHeld: false, letters: 1 }));
  return {
    total: groups.length,
    live: groups.length,
    groups: groups.slice(0, Number(query.get("limit") ?? 100)),
  };
}

const resumed = () => {
  const at = new Date().toISOString();
  return { kind: "pause", cursor: 99, at, stream: "orders", isPaused: false, untilAt: null, by: null };
};

function tellLive(res: ServerResponse, panels: string, isContinued: boolean): void {
  const at = new Date().toISOString();
  const hello = { kind: "hello", ring: "r", sinceAt: at, cursor: 0, isContinued, nowAt: at };
  const more = { pollMs: 1000, streams, paused: [], panels: panels === "" ? [] : panels.split(",") };
  const history = [{ kind: "counts", streams: [] }, ...happened];
  const counted = [{ stream: "orders", dead: 7, held: 0, heldReason: null }];
  const lines = [
    { ...hello, ...more },
    ...(isContinued ? [] : history.map((one, i) => ({ cursor: i + 1, at, ...one }))),
    ...(panels.includes("letters") ? [{ kind: "letters", at, streams: counted }] : []),
  ];
  res.writeHead(200, { "content-type": "application/x-ndjson" });
  looking.add(res);
  res.once("close", () => looking.delete(res));
  res.write(lines.map((line) => `${JSON.stringify(line)}\n`).join(""));
}

const many = (count: number, reason: string): Letter[] =>
  Array.from({ length: count }, (_, i) => ({
    id: `00000000-0000-4000-8000-${String(i).padStart(12, "0")}`,
    reason,
  }));

const button = (name: string | RegExp) => opened.page.getByRole("button", { name, exact: true });
/** Notes each text that #said has from now on: a screen reader says it when it changes. */
const noteWhatIsSaid = () =>
  opened.page.evaluate(`globalThis.heard = [];
    new MutationObserver(() => heard.push(document.getElementById("said").textContent))
      .observe(document.getElementById("said"), { childList: true, subtree: true, characterData: true })`);
const whatWasSaid = () => opened.page.evaluate<string[]>("heard");
const focused = () => opened.page.evaluate<string>("document.activeElement.textContent");

describe.skipIf(!canLook)("dead letters", () => {
  const look = async () => {
    opened = await openPage(browser, served.url);
    await button("Redrive orders: bad").waitFor();
  };
  const untilSaid = (said: string | RegExp) => opened.page.locator("#said").getByText(said).waitFor();

  test("that are gone meanwhile: no button takes those of other reasons", async () => {
    letters = many(3, "another");
    await look();
    await noteWhatIsSaid();
    for (const name of ["Dry run: orders: bad", "Redrive orders: bad"]) {
      await button(name).click();
      await untilSaid("None of these letters is there any more.");
      await expect.poll(() => button(name).getAttribute("aria-busy")).toBe("false");
    }
    expect((await whatWasSaid()).filter((said) => said !== "")).toHaveLength(2);
    await button("Purge orders: bad …").click();
    await opened.page.locator("#letters").getByText("None of these letters is there any more").waitFor();
    expect(asked).toEqual([]);
    expect(letters).toHaveLength(3);
  });

  test("more than one press takes: each purge is of those that are there then", async () => {
    letters = many(1500, "bad");
    await look();
    await button("Purge orders: bad …").click();
    await opened.page.getByLabel(/ Type 1000 to delete/).fill("1000");
    await button("Purge").click();
    await untilSaid(/^1,000 letters purged/);
    await opened.page.getByLabel(/ Type 500 to delete/).fill("500");
    await button("Purge").click();
    await untilSaid(/^500 letters purged/);
    expect(letters).toEqual([]);
  });

  test("of more reasons than are shown: the page says so", async () => {
    reasons = Array.from({ length: 500 }, (_, i) => (i === 0 ? "bad" : `reason ${i}`));
    await look();
    await opened.page
      .locator("#letters")
      .getByText("400 letters of other reasons come up when these are gone")
      .waitFor();
  });
});

describe.skipIf(!canLook)("the page", () => {
  test("in a hidden tab reads no surge: a browser has six connections for all tabs", async () => {
    opened = await openPage(browser, served.url);
    await opened.page.locator("#surge > summary").click();
    await expect.poll(() => surgeReaders).toBe(1);
    await hideTab(opened.page, true);
    await expect.poll(() => surgeReaders).toBe(0);
    await hideTab(opened.page, false);
    await expect.poll(() => surgeReaders).toBe(1);
  });

  test("shows texts as texts, however long, and is as wide as a phone", async () => {
    const evil = `<img src=x onerror="console.error('ran')"><script>console.error('ran')</script>"'\`\u202e${"x".repeat(10_000)}`;
    reasons = [evil, "bad"];
    letters = many(1, evil);
    streams = ["a".repeat(60), "orders"];
    happened = [
      {
        kind: "stopped",
        stream: "orders",
        partition: 0,
        outcome: "misconfigured",
        sqlstate: null,
        reason: evil,
      },
      { kind: "pause", stream: streams[0], isPaused: true, untilAt: null, by: evil, why: evil },
      {
        kind: "batch",
        stream: streams[0],
        rows: 1,
        bytes: 1,
        stored: 1,
        duplicates: 0,
        superseded: 0,
        held: 0,
        dead: 0,
        oldestLagMs: 1,
        newestLagMs: 1,
        insertMs: 1,
        partition: 0,
        ids: [evil],
      },
    ];
    opened = await openPage(browser, served.url, 320);
    await opened.page
      .locator("#verdict")
      .getByText(/^Postgres refuses orders: <img/)
      .waitFor();
    await button("Redrive orders: bad").waitFor();
    await opened.page
      .locator("#letters")
      .getByRole("button", { name: /^Show orders: <img/ })
      .click();
    await opened.page.locator("#letters code").first().waitFor();
    expect(await opened.page.locator("img, script:not([src])").count()).toBe(0);
    expect(await opened.page.evaluate("document.documentElement.scrollWidth")).toBeLessThanOrEqual(320);
    expect(await seriousFaults(opened.page)).toEqual([]);
    expect(opened.complaints).toEqual([]);
  });

  test("leaves the focus on a button whose finding is told anew, because it is older", async () => {
    const oldestReceivedAt = new Date(Date.now() - 445_000).toISOString();
    const waiting = {
      pending: 1,
      sealed: 0,
      claimed: 0,
      heldPartitions: 0,
      heldSinceAt: null,
      oldestReceivedAt,
    };
    happened = [
      { kind: "stopped", stream: "a", partition: 0, outcome: "busy", sqlstate: null, reason: "it is" },
      {
        kind: "counts",
        streams: [
          { ...waiting, stream: "a" },
          { ...waiting, stream: "orders" },
        ],
      },
    ];
    opened = await openPage(browser, served.url);
    // From 450 s on it is told as 8 minutes.
    const drain = button(/^Drain now: The oldest event of orders waits for /);
    await drain.focus();
    const before = await drain.getAttribute("aria-label");
    await expect.poll(() => drain.getAttribute("aria-label"), { timeout: 90_000 }).not.toBe(before);
    expect(await focused()).toBe("Drain now");
  });

  test("keeps the keyboard's place while a button works, and hands it on when the button is gone", async () => {
    const none = { sealed: 0, claimed: 0, heldPartitions: 0, heldSinceAt: null };
    const waiting = { ...none, stream: "orders", pending: 2, oldestReceivedAt: new Date().toISOString() };
    happened = [
      { kind: "counts", streams: [waiting] },
      { kind: "pause", stream: "orders", isPaused: true, untilAt: null, by: null },
    ];
    opened = await openPage(browser, served.url);
    await button("Drain all now").focus();
    await opened.page.keyboard.press("Enter");
    await opened.page.locator("#said").getByText("Nothing waits.").waitFor();
    expect(await focused()).toBe("Drain all now");

    await button(/^Resume: /).focus();
    await opened.page.keyboard.press("Enter");
    await opened.page
      .locator("#verdict")
      .getByText(/^7 dead letters/)
      .waitFor();
    expect(await focused()).toBe("7 dead letters of orders wait for you.");

    letters = many(1, "bad");
    await button("Redrive orders: bad").focus();
    await opened.page.keyboard.press("Enter");
    await opened.page.locator("#letters").getByText("There are no dead letters.").waitFor();
    expect(await focused()).toMatch(/^Dead letters/);
  });

  test("has the place in which it says what was done before it says anything, for screen readers", async () => {
    opened = await openPage(browser, served.url);
    await button("Redrive orders: bad").waitFor();
    expect(await opened.page.locator("#said").textContent()).toBe("");
    expect(await opened.page.evaluate("getComputedStyle(document.getElementById('said')).display")).toBe(
      "block",
    );
  });
});
