/**
 * A page that goes while it takes over what another left. Its browser drops a write that has not begun when the page is gone, so no
 * write may wait for what the takeover asks the page to do next. CLIENT_ROUNDS sets how many pages go (default 3).
 */
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { openPageBrowser, type PageBrowser } from "./browser-page.ts";
import { type FaultServer, startFaultServer } from "./fault-server.ts";
import { until } from "./until.ts";

const ROUNDS = Number(process.env.CLIENT_ROUNDS ?? 3);
const LEFT = 2000;
let browser: PageBrowser;
let server: FaultServer;

beforeAll(async () => {
  browser = await openPageBrowser();
});
afterAll(() => browser?.close());
beforeEach(async () => {
  server = await startFaultServer();
});
afterEach(async () => {
  await server.close();
  expect(browser.errors).toEqual([]);
});

const options = () => ({ url: server.url, key: "spw_pub_0000000000000000000000" });

// The calls by which a takeover looks for queues, and reads one.
test.each(["getAllKeys", "getAll"])(
  "a page that sends in the midst of a takeover, at its %s, and goes at once, while ingest is away: all is stored after the next visit",
  async (method) => {
    const context = await browser.openContext();
    server.setAway(true);
    const first = await browser.visit(context);
    await first.evaluate(
      async ([given, count]) => {
        const { createClient, indexedDb } = globalThis.spillway;
        const client = createClient({ ...given, store: indexedDb() });
        const text = "x".repeat(500);
        const sent = Array.from({ length: count }, (_, n) => client.send("clicks", { n, text }).kept);
        await Promise.all(sent);
        await client.close();
      },
      [options(), LEFT] as const,
    );
    await first.close();
    for (let round = 0; round < ROUNDS; round++) {
      const page = await browser.visit(context);
      const gone = page.evaluate(
        ([given, name, from]) => {
          const { createClient, indexedDb } = globalThis.spillway;
          const calls = IDBObjectStore.prototype as unknown as Record<string, () => unknown>;
          const call = calls[name] as () => unknown;
          calls[name] = function (this: unknown, ...args: []) {
            calls[name] = call;
            queueMicrotask(() => {
              for (let n = from; n < from + 50; n++) client.send("clicks", { n });
              location.href = "/blank";
            });
            return call.apply(this, args);
          };
          const client = createClient({ ...given, store: indexedDb() });
        },
        [options(), method, LEFT + round * 50] as const,
      );
      void gone.catch(() => {}); // a page that is gone answers no more
      await page.waitForURL(/blank/);
      await page.close();
    }
    server.setAway(false);
    const next = await browser.visit(context);
    await next.evaluate((given) => {
      const { makeClient, indexedDb } = globalThis.spillway;
      makeClient({ ...given, store: indexedDb() }, { beatMs: 100, watchMs: 500 });
    }, options());
    await until(() => server.stored.size === LEFT + ROUNDS * 50, "all events to be stored");
    expect([...server.stored.values()].map(({ n }) => Number(n)).sort((a, b) => a - b)).toEqual(
      Array.from({ length: LEFT + ROUNDS * 50 }, (_, n) => n),
    );
    await context.close();
  },
);
