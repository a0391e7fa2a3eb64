/** A real browser for tests, and a page in it that has the client, from an origin of its own. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { type BrowserContext, chromium, type Page } from "playwright-core";
import { findBrowser } from "../../../dev/stack/find-browser.ts";
import type { Spillway } from "./run/page-entry.ts";

declare global {
  var spillway: Spillway;
}

export type PageBrowser = Awaited<ReturnType<typeof openPageBrowser>>;

export async function openPageBrowser() {
  const result = await build({
    entryPoints: [fileURLToPath(new URL("run/page-entry.ts", import.meta.url))],
    ...{ bundle: true, format: "esm", target: "es2022", write: false },
  });
  const script = result.outputFiles[0]?.text ?? "";
  const server = createServer((req, res) => {
    if (req.url === "/client.js")
      return void res.writeHead(200, { "content-type": "text/javascript" }).end(script);
    const html = req.url === "/blank" ? "" : '<script type="module" src="/client.js"></script>';
    res.writeHead(200, { "content-type": "text/html" }).end(`<!doctype html><title>test</title>${html}`);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const browser = await chromium.launch({
    executablePath: await findBrowser(),
    args: ["--no-sandbox", "--disable-dev-shm-usage"],
  });
  const errors: string[] = [];

  return {
    origin,
    /** Errors that a page did not catch, of all pages. */
    errors,
    /** A profile of its own: what one visit stores, the next finds. */
    openContext: () => browser.newContext(),
    /** Visits the page. */
    visit: async (context: BrowserContext): Promise<Page> => {
      const page = await context.newPage();
      page.on("pageerror", (error) => errors.push(String(error)));
      await page.goto(origin);
      await page.waitForFunction(() => globalThis.spillway !== undefined);
      return page;
    },
    close: async () => {
      await browser.close();
      server.closeAllConnections();
      server.close();
    },
  };
}
