/** The client in a real browser, on a page whose origin is not ingest's. CLIENT_ROUNDS sets how often a page is closed (default 3). */
import type { BrowserContext } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { hasBrowser } from "../../../test/integration/browser.ts";
import { openPageBrowser, type PageBrowser } from "./browser-page.ts";
import { type FaultServer, startFaultServer } from "./fault-server.ts";
import { promises } from "./store-contract.ts";
import { until } from "./until.ts";

const ROUNDS = Number(process.env.CLIENT_ROUNDS ?? 3);
const PUBLIC_KEY = "spw_pub_0000000000000000000000";

describe.skipIf(!(await hasBrowser()))("in Chromium", () => {
  let browser: PageBrowser;
  let server: FaultServer;
  let context: BrowserContext;

  beforeAll(async () => {
    browser = await openPageBrowser();
  });
  afterAll(() => browser?.close());
  beforeEach(async () => {
    server = await startFaultServer();
    context = await browser.openContext();
  });
  afterEach(async () => {
    await context.close();
    await server.close();
    expect(browser.errors).toEqual([]);
  });

  const options = () => ({ url: server.url, key: PUBLIC_KEY });

  const untilStored = (count: number) =>
    until(() => server.stored.size === count, `${count} events to be stored`);

  test.each(Object.keys(promises))("indexedDb: %s", async (name) => {
    const page = await browser.visit(context);
    await page.evaluate(async (promise) => {
      const { indexedDb, promises } = globalThis.spillway;
      await promises[promise]?.(() => [indexedDb("contract"), indexedDb("contract")]);
    }, name);
  });

  for (const way of ["goes elsewhere", "is closed"] as const)
    test(`a page that ${way} at once after 50 sends, while ingest is away: 50 of 50 are stored after the next visit`, async () => {
      for (let round = 1; round <= ROUNDS; round++) {
        server.stored.clear();
        server.setAway(true);
        const page = await browser.visit(context);
        const gone = page.evaluate(
          async ([given, isLeaving]) => {
            const { createClient, indexedDb } = globalThis.spillway;
            const client = createClient({ ...given, store: indexedDb() });
            // A page that only just began has no open database yet: a write waits for it.
            await client.flush({ withinMs: 60_000 });
            return client.send("clicks", { n: -1 }).kept.then(() => {
              for (let n = 0; n < 50; n++) client.send("clicks", { n });
              if (isLeaving) location.href = "/blank";
            });
          },
          [options(), way === "goes elsewhere"] as const,
        );
        void gone.catch(() => {}); // a page that is gone answers no more
        if (way === "goes elsewhere") await page.waitForURL(/blank/);
        else await gone;
        const closed = page.waitForEvent("close");
        await page.close({ runBeforeUnload: true }); // as its user closes it
        await closed;
        server.setAway(false);
        const next = await browser.visit(context);
        await next.evaluate(async (given) => {
          const { createClient, indexedDb } = globalThis.spillway;
          const client = createClient({
            ...given,
            store: indexedDb(),
            onOutcome: () => client.waiting.events || ended(),
          });
          let ended = () => {};
          await new Promise<void>((resolve) => {
            ended = resolve;
          });
          await client.close(); // what has ended is out of the store now
        }, options());
        expect([...server.stored.values()].map(({ n }) => n).sort((a, b) => Number(a) - Number(b))).toEqual(
          Array.from({ length: 51 }, (_, n) => n - 1),
        );
        await next.close();
      }
    });

  test("what a page sends as it goes arrives without another visit, in requests that need no preflight", async () => {
    const page = await browser.visit(context);
    await page.evaluate((given) => {
      const { createClient, indexedDb } = globalThis.spillway;
      const client = createClient({ ...given, store: indexedDb() });
      addEventListener("pagehide", () => client.send("clicks", { n: 50 }));
      for (let n = 0; n < 50; n++) client.send(n % 2 ? "clicks" : "views", { n });
      location.href = "/blank";
    }, options());
    await untilStored(51);
    expect([...server.times.values()].every((times) => times === 1)).toBe(true);
    expect(
      new Set(server.requests.map(({ method, headers }) => `${method} ${headers["content-type"]}`)),
    ).toEqual(new Set(["POST text/plain"]));
    expect(server.requests.every(({ url }) => url.endsWith(`?key=${PUBLIC_KEY}`))).toBe(true);
    expect(server.preflights()).toBe(0);
  });

  test("a page that is only hidden sends at once what waits, and sends as usual when it is shown again", async () => {
    const page = await browser.visit(context);
    const show = (state: string) =>
      page.evaluate((given) => {
        Object.defineProperty(document, "visibilityState", { value: given, configurable: true });
        Object.defineProperty(document, "hidden", { value: given === "hidden", configurable: true });
        document.dispatchEvent(new Event("visibilitychange", { bubbles: true }));
      }, state);
    await page.evaluate((given) => {
      const { createClient, indexedDb } = globalThis.spillway;
      const client = createClient({ ...given, store: indexedDb(), batch: { ms: 3_600_000 } });
      for (let n = 0; n < 50; n++) client.send("clicks", { n });
      Object.assign(globalThis, { client });
    }, options());
    await show("hidden");
    await untilStored(50);
    await show("visible");
    await page.evaluate(async () => {
      const { client } = globalThis as unknown as { client: import("../src/index.ts").SpillwayClient<never> };
      client.send("clicks" as never, { n: 50 } as never);
      await client.flush();
    });
    await untilStored(51);
    expect([...server.times.values()].every((times) => times === 1)).toBe(true);
  });

  test("if the browser refuses a request as the page goes, the store has the events for the next visit", async () => {
    const page = await browser.visit(context);
    await page.evaluate(async (given) => {
      const { createClient, indexedDb } = globalThis.spillway;
      // As when other scripts use up the 64 KiB.
      const refuse = () => Promise.reject(new TypeError("Failed to fetch"));
      const client = createClient({
        ...given,
        ...{ store: indexedDb(), batch: { ms: 3_600_000 }, fetch: refuse },
      });
      const sent = Array.from({ length: 50 }, (_, n) => client.send("clicks", { n }).kept);
      await Promise.all(sent);
      location.href = "/blank";
    }, options());
    await page.waitForURL(/blank/);
    expect(server.requests.length).toBe(0);
    const next = await browser.visit(context);
    await next.evaluate((given) => {
      const { createClient, indexedDb } = globalThis.spillway;
      createClient({ ...given, store: indexedDb() });
    }, options());
    await untilStored(50);
  });

  test("offline for a minute, then online: all are stored, and the back-off is not waited for", async () => {
    await context.clock.install();
    const page = await browser.visit(context);
    await context.setOffline(true);
    const kept = await page.evaluate(async (given) => {
      const { createClient, indexedDb } = globalThis.spillway;
      const flights = { count: 0 };
      const counted: typeof fetch = (...args) => {
        flights.count++;
        return fetch(...args).finally(() => flights.count--);
      };
      const client = createClient({ ...given, store: indexedDb(), fetch: counted });
      Object.assign(globalThis, { flights });
      const sent = Array.from({ length: 300 }, (_, n) => client.send("track", { n }).kept);
      return Promise.all(sent);
    }, options());
    expect(kept.every((isKept) => isKept)).toBe(true);
    for (let second = 0; second < 60; second++) await context.clock.runFor(1000);
    await context.clock.pauseAt(Date.now() + 3_600_000); // no timer ends the back-off now, only the browser's word
    const flightsNow = () =>
      page.evaluate(() => (globalThis as unknown as { flights: { count: number } }).flights.count);
    await until(async () => (await flightsNow()) === 0, "the last request to fail"); // it would begin another back-off
    expect(server.stored.size).toBe(0);
    await context.setOffline(false);
    await untilStored(300);
  });

  test("three tabs on one store, one of which crashes: each event is stored", async () => {
    server.setAway(true);
    const tabs = await Promise.all([1, 2, 3].map(() => browser.visit(context)));
    for (const [place, page] of tabs.entries())
      await page.evaluate(
        async ([given, tab]) => {
          const { makeClient, indexedDb } = globalThis.spillway;
          const client = makeClient(
            { ...given, store: indexedDb() },
            { beatMs: 300, watchMs: 1500, backOffMaxMs: 500 },
          );
          const sent = Array.from({ length: 40 }, (_, n) => client.send("tabs", { tab, n }).kept);
          await Promise.all(sent);
        },
        [options(), place] as const,
      );
    await tabs[0]?.goto("chrome://crash").catch(() => {});
    server.setAway(false);
    await untilStored(120);
    const tabsOf = [...server.stored.values()].map(({ tab, n }) => `${tab}/${n}`);
    expect(new Set(tabsOf).size).toBe(120);
  });

  test.each(["its quota is used up", "there is no IndexedDB", "IndexedDB never opens"])(
    "a store that refuses, because %s: memory is used, and nothing is thrown",
    async (why) => {
      if (why === "there is no IndexedDB")
        await context.addInitScript(() =>
          Object.defineProperty(globalThis, "indexedDB", { get: () => undefined }),
        );
      if (why === "IndexedDB never opens")
        await context.addInitScript(() =>
          Object.defineProperty(globalThis, "indexedDB", { value: { open: () => ({}) } }),
        );
      if (why === "IndexedDB never opens") await context.clock.install();
      const page = await browser.visit(context);
      if (why === "its quota is used up") {
        const protocol = await context.newCDPSession(page);
        await protocol.send("Storage.overrideQuotaForOrigin", { origin: browser.origin, quotaSize: 1 });
      }
      const settled = page.evaluate(async (given) => {
        const { createClient, indexedDb } = globalThis.spillway;
        const client = createClient({ ...given, store: indexedDb() });
        const sent = Array.from({ length: 50 }, (_, n) =>
          client.send("clicks", { n, text: "x".repeat(1000) }),
        );
        const kinds = (await Promise.all(sent.map(({ outcome }) => outcome))).map(({ kind }) => kind);
        return { kept: await Promise.all(sent.map((one) => one.kept)), kinds };
      }, options());
      if (why === "IndexedDB never opens") await context.clock.fastForward(11_000);
      const { kept, kinds } = await settled;
      expect(new Set(kept)).toEqual(new Set([false]));
      expect(new Set(kinds)).toEqual(new Set(["buffered"]));
      expect(server.stored.size).toBe(50);
    },
  );

  test("a phone that queues in 1970, learns the time, and has it set ahead and back loses nothing", async () => {
    await context.addInitScript(() => {
      const real = Date.now;
      Date.now = () => Number(localStorage.getItem("clock") ?? real());
    });
    server.setAway(true);
    const years = [0, Date.now(), Date.now() + 3_000_000_000_000, 86_400_000];
    for (const [visit, clock] of years.entries()) {
      if (visit === 2) server.setAway(false);
      if (visit === 2) server.faults.push(...Array.from({ length: 3 }, () => ({ kind: "503" }) as const));
      const page = await browser.visit(context);
      await page.evaluate(
        async ([given, ms, n]) => {
          localStorage.setItem("clock", String(ms));
          const { makeClient, indexedDb } = globalThis.spillway;
          // A page that is closed may not let its queue go in time: then the next one watches it.
          const client = makeClient(
            { ...given, store: indexedDb() },
            { backOffMaxMs: 200, beatMs: 100, watchMs: 1000 },
          );
          const sent = Array.from({ length: 10 }, () => client.send("clock", { n }).kept);
          await Promise.all(sent);
        },
        [options(), clock, visit] as const,
      );
      if (visit >= 2) await untilStored((visit + 1) * 10);
      await page.close();
    }
  });

  test("in a web worker, which is terminated: what was kept is sent, by the page", async () => {
    server.setAway(true);
    const page = await browser.visit(context);
    const kept = await page.evaluate(async (given) => {
      const script = `
        import ${JSON.stringify(`${location.origin}/client.js`)};
        const { createClient, indexedDb } = globalThis.spillway;
        const client = createClient({ ...${JSON.stringify(given)}, store: indexedDb() });
        const sent = Array.from({ length: 50 }, (_, n) => client.send("worker", { n }).kept);
        Promise.all(sent).then(postMessage);`;
      const url = URL.createObjectURL(new Blob([script], { type: "text/javascript" }));
      const worker = new Worker(url, { type: "module" });
      const kept = await new Promise((resolve) => {
        worker.onmessage = ({ data }) => resolve(data);
      });
      worker.terminate();
      const { makeClient, indexedDb } = globalThis.spillway;
      makeClient({ ...given, store: indexedDb() }, { beatMs: 100, watchMs: 500, backOffMaxMs: 500 });
      return kept;
    }, options());
    expect(kept).toEqual(Array(50).fill(true));
    expect(server.stored.size).toBe(0);
    server.setAway(false);
    await untilStored(50);
  });

  test("a secret key works from another origin, too: the browser asks first", async () => {
    server.setKey("secret");
    const page = await browser.visit(context);
    const kind = await page.evaluate(async (url) => {
      const { createClient } = globalThis.spillway;
      const client = createClient({ url, key: async () => "secret" });
      return (await client.send("clicks", { n: 1 }).outcome).kind;
    }, server.url);
    expect(kind).toBe("buffered");
    expect(server.preflights()).toBe(1);
  });
});
