/** Pages in a real browser: a page's last request needs no preflight, and a page reads each answer that it may read. */
import { createHash } from "node:crypto";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { createServer, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { newKey } from "../../lib/access/key-format.ts";
import { type ApiKey, plainKey } from "../../lib/config.ts";
import { drain } from "../../lib/drain/drain.ts";
import { type Browser, hasBrowser, openBrowser } from "./browser.ts";
import { type Ingest, serveIngest } from "./test-ingest.ts";
import { expectConserved, KEY, openWorld, type World, whereabouts } from "./test-stack.ts";

const PAGE = newKey("public");
const SHOP = newKey("public");

let world: World;
let ingest: Ingest;
/** An installation whose CORS_ORIGINS lists the page's origin. */
let friendly: Ingest;
let browser: Browser;
let pages: Server;
/** Another site than ingest's, which is 127.0.0.1. */
let pageOrigin: string;
/** The script of the next page, and what pages have told. */
let script = "";
let told: string[] = [];
/** The requests that ingest was sent. */
const inBrowser = test.skipIf(!(await hasBrowser()));
let seen: Pick<IncomingMessage, "method" | "headers" | "url">[] = [];

const publicKey = (name: string, key: string, origins: string[]): ApiKey => ({
  ...plainKey(name, createHash("sha256").update(key).digest(), new Set(["events"])),
  ...{ kind: "public", origins },
});

const note = (message: unknown) => {
  const { request } = message as { request: IncomingMessage };
  const ports = [ingest, friendly].map(({ url }) => Number(new URL(url).port));
  if (ports.includes(request.socket.localPort ?? 0)) seen.push(request);
};

beforeAll(async () => {
  world = await openWorld();
  pages = createServer(async (req, res) => {
    if (req.method === "POST") told.push(await text(req));
    res.setHeader("content-type", "text/html");
    res.end(req.url === "/" ? `<!doctype html><title>page</title><script>${script}</script>` : "");
  });
  await new Promise<void>((resolve) => pages.listen(0, "127.0.0.1", resolve));
  pageOrigin = `http://localhost:${(pages.address() as AddressInfo).port}`;
  const apiKeys = [
    ...world.config.apiKeys,
    publicKey("page", PAGE, [pageOrigin]),
    publicKey("shop", SHOP, ["https://shop.example"]),
  ];
  ingest = await serveIngest(world, { apiKeys });
  friendly = await serveIngest(world, { apiKeys, corsOrigins: [pageOrigin] });
  subscribe("http.server.request.start", note);
  browser = await openBrowser();
}, 600_000);
beforeEach(async () => {
  await world.reset();
  told = [];
  seen = [];
});
afterAll(async () => {
  await browser?.close();
  unsubscribe("http.server.request.start", note);
  pages.closeAllConnections();
  pages.close();
  await ingest.close();
  await friendly.close();
  await world.close();
});

/** Opens a page with this script, which can `tell` a value, and waits until it has told one. */
async function open(source: string): Promise<{ tab: string; told: unknown }> {
  script = `const tell = (value) => fetch("/told", { method: "POST", body: JSON.stringify(value) });
    (async () => { ${source} })().catch((error) => tell(String(error)));`;
  const tab = await browser.openTab(`${pageOrigin}/`);
  await expect.poll(() => told.length, { timeout: 30_000, interval: 20 }).toBeGreaterThan(0);
  return { tab, told: JSON.parse(told[0] ?? "") };
}

/** What a page sees of an answer, or the error in its place. */
const ASK = `const ask = (url, init) => fetch(url, init).then(
  async (answer) => ({ status: answer.status, requestId: answer.headers.get("x-request-id"), ...(await answer.json()) }),
  (error) => String(error));`;

inBrowser.each([
  ["fetch with keepalive", `fetch(url, { method: "POST", keepalive: true, body })`],
  ["sendBeacon", `navigator.sendBeacon(url, body)`],
])(
  "a page that is closed sends its last event by %s, without a preflight, and it is stored",
  async (_, how) => {
    const { tab } = await open(`
    const url = "${ingest.url}/v1/events?key=${PAGE}";
    const body = JSON.stringify({ type: "closed", payload: { read: 0.7 } });
    addEventListener("pagehide", () => { ${how}; });
    await tell("ready");`);
    expect(seen).toEqual([]);
    await browser.closeTab(tab);
    await expect
      .poll(async () => (await whereabouts(world, "events")).buffered.length, {
        timeout: 30_000,
        interval: 20,
      })
      .toBe(1);
    expect(seen.map(({ method, headers }) => [method, headers["content-type"], headers.origin])).toEqual([
      ["POST", expect.stringMatching(/^text\/plain/), pageOrigin],
    ]);
    const { buffered } = await whereabouts(world, "events");
    await drain(world.supervisor(), {});
    await expectConserved(world, "events", buffered);
    const { rows } = await world.sql.query("select type, payload from events");
    expect(rows).toEqual([{ type: "closed", payload: { read: 0.7 } }]);
  },
);

inBrowser(
  "a page with a public key in a header is preflighted once, and reads the answer and its headers",
  async () => {
    const answer = await open(`${ASK}
    tell(await ask("${ingest.url}/v1/events", {
      method: "POST",
      headers: { "x-api-key": "${PAGE}", "content-type": "application/json", traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01" },
      body: '{"type":"opened","payload":1}',
    }));`);
    expect(seen.map(({ method }) => method)).toEqual(["OPTIONS", "POST"]);
    expect(answer.told).toMatchObject({
      status: 202,
      ack: "buffered",
      requestId: "4bf92f3577b34da6a3ce929d0e0e4736",
    });
    await drain(world.supervisor(), {});
    await expectConserved(world, "events", (answer.told as { ids: string[] }).ids);
  },
);

inBrowser(
  "a page reads every refusal: of its key, its origin, its path, its event, and of its headers by the front door",
  async () => {
    const { told } = await open(`${ASK}
    const post = (path, headers, body = '{"type":"opened","payload":1}') =>
      ask("${ingest.url}" + path, { method: "POST", headers, body });
    tell([
      await post("/v1/events", { "x-api-key": "${PAGE.slice(0, -1)}" }),
      await post("/v1/events?key=${KEY}", {}),
      await post("/v1/events", { "x-api-key": "${SHOP}" }),
      await post("/v1/events", { authorization: "Bearer ${KEY}" }),
      await post("/nowhere", { "x-api-key": "${PAGE}" }),
      await post("/v1/events", { "x-api-key": "${PAGE}" }, "{}"),
      await post("/v1/events", { "x-api-key": "${PAGE}", "x-long": "x".repeat(20000) }),
    ]);`);
    expect((told as { status: number; code: string }[]).map(({ status, code }) => [status, code])).toEqual([
      [401, "unknown-key"],
      [401, "unknown-key"],
      [403, "origin-not-allowed"],
      [403, "origin-not-allowed"],
      [404, "unknown-path"],
      [422, "invalid-event"],
      [431, "headers-too-large"],
    ]);
    await expectConserved(world, "events", []);
  },
);

inBrowser("a page of CORS_ORIGINS may use a secret key", async () => {
  const { told } = await open(`${ASK}
    tell(await ask("${friendly.url}/v1/events?ack=stored", {
      method: "POST",
      headers: { authorization: "Bearer ${KEY}", "content-type": "application/json" },
      body: '{"type":"opened","payload":1}',
    }));`);
  expect(told).toMatchObject({ status: 201, ack: "stored" });
  await expectConserved(world, "events", (told as { ids: string[] }).ids);
});
