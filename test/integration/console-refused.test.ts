/**
 * What the page says if somebody on the way refuses or does not answer: its own server after a restart, the supervisor's identity check, gcloud,
 * or a supervisor that ends while it works. In place of a system there is a server that answers as they do.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Browser } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type Console, startConsole } from "../../dev/console/console-server.ts";
import type { ConsoleTarget } from "../../dev/console/forward.ts";
import { supervisorAt } from "../../dev/operate/ask-supervisor.ts";
import { CommandFailed } from "../../dev/operate/command-line.ts";
import { hasBrowser } from "./browser.ts";
import { launchChromium, type OpenedPage, openPage } from "./console-browser.ts";

const canLook = await hasBrowser();
const HELLO = {
  ...{ kind: "hello", ring: "r", sinceAt: "2026-11-28T10:00:00.000Z", cursor: 0, isContinued: false },
  ...{ pollMs: 1000, streams: ["orders"], paused: [], panels: [] },
};

let system: Server;
let url: string;
let answer: (req: IncomingMessage, res: ServerResponse) => void;
let served: Console;
let browser: Browser;
let opened: OpenedPage | undefined;

beforeAll(async () => {
  system = createServer((req, res) => answer(req, res));
  await new Promise<void>((resolve) => system.listen(0, "127.0.0.1", resolve));
  url = `http://127.0.0.1:${(system.address() as AddressInfo).port}`;
  if (canLook) browser = await launchChromium();
}, 300_000);
beforeEach(() => {
  answer = tellAllIsWell;
});
afterEach(async () => {
  await opened?.page.close();
  opened = undefined;
  await served.close();
});
afterAll(async () => {
  await browser?.close();
  system.closeAllConnections();
  system.close();
});

async function serve(
  tokenOf: () => Promise<string | undefined> = async () => undefined,
  port = 0,
): Promise<void> {
  const target: ConsoleTarget = {
    ...{ supervisor: supervisorAt(url, tokenOf), ingest: undefined, isProd: true, canWrite: true },
  };
  served = await startConsole({ target, port });
}

/** Says how it is, and keeps the answer open. */
function tellAllIsWell(req: IncomingMessage, res: ServerResponse): void {
  if (!req.url?.startsWith("/live")) return void res.writeHead(200).end("{}");
  const at = new Date().toISOString();
  const counts = { kind: "counts", cursor: 1, at, streams: [] };
  res.writeHead(200, { "content-type": "application/x-ndjson" });
  res.write(`${JSON.stringify({ ...HELLO, nowAt: at })}\n${JSON.stringify(counts)}\n`);
}

const refuse = (status: number) => (_: IncomingMessage, res: ServerResponse) =>
  void res.writeHead(status, { "content-type": "text/html" }).end("<html><title>Error</title></html>");

async function ask(method: "GET" | "POST", path: string) {
  const headers = { "x-spillway-console": new URL(served.url).hash.slice(1) };
  const response = await fetch(`http://127.0.0.1:${served.port}${path}`, { method, headers });
  return { status: response.status, body: (await response.json()) as { detail?: string } };
}

describe("the console's server says in a sentence that", () => {
  test.each([401, 403])(
    "Cloud Run answers %i in HTML, of a stream of lines and of anything else",
    async (status) => {
      answer = refuse(status);
      await serve(async () => "expired");
      for (const path of ["/api/supervisor/live", "/api/supervisor/status"]) {
        const { status: shown, body } = await ask("GET", path);
        expect(shown).toBe(502);
        expect(body.detail).toMatch(
          new RegExp(`^The supervisor refuses this console's identity \\(${status}\\): log in`),
        );
      }
    },
  );

  test("a supervisor of one's own does not know the operator token, and not that this console's own is missing", async () => {
    answer = (_, res) =>
      void res
        .writeHead(401, { "content-type": "application/problem+json" })
        .end(
          JSON.stringify({ status: 401, code: "unknown-operator", detail: "expected the operator token" }),
        );
    await serve(async () => "another-token");
    for (const path of ["/api/supervisor/live", "/api/supervisor/status"])
      expect(await ask("GET", path)).toMatchObject({
        status: 502,
        body: { detail: expect.stringMatching(/identity \(401\): .*OPERATOR_TOKEN/) },
      });
  });

  test("something answers without JSON", async () => {
    answer = refuse(429);
    await serve();
    expect(await ask("GET", "/api/supervisor/live")).toMatchObject({
      status: 429,
      body: { detail: "Something at its address answered 429 without JSON." },
    });
  });

  test("the supervisor ended while it worked, and perhaps it was done; a read was not done", async () => {
    answer = (req) => void req.socket.destroy();
    await serve();
    const { status, body } = await ask("POST", "/api/supervisor/dead-letters/redrive");
    expect(status).toBe(502);
    expect(body.detail).toMatch(
      /does not answer\. Perhaps it was done all the same: look before you do it again\.$/,
    );
    expect((await ask("GET", "/api/supervisor/status")).body.detail).toMatch(/does not answer\.$/);
  });

  test("gcloud gives no token, and then nothing was done", async () => {
    const sentence = "gcloud gives no identity token (log in with gcloud auth login): no account.";
    await serve(async () => {
      throw new CommandFailed(sentence);
    });
    for (const method of ["GET", "POST"] as const) {
      const path = method === "GET" ? "/api/supervisor/live" : "/api/supervisor/drain";
      expect(await ask(method, path)).toMatchObject({ status: 502, body: { detail: sentence } });
    }
  });
});

describe.skipIf(!canLook)("the page says", () => {
  const untilVerdict = (text: RegExp) => opened?.page.locator("#verdict").filter({ hasText: text }).waitFor();
  const look = async () => {
    opened = await openPage(browser, served.url);
    await untilVerdict(/^All is well/);
  };

  test("that its console has ended, and after another start on the same port, which address to use", async () => {
    await serve();
    await look();
    const { port } = served;
    await served.close();
    await untilVerdict(
      /^This console's own server does not answer: start it again .* use the address that it prints\.$/,
    );
    await opened?.page
      .getByText(/^Nothing new is shown: what this page shows was so at \d\d:\d\d:\d\d\.$/)
      .waitFor();
    expect(await opened?.page.getByRole("link", { name: /^Playbook/ }).count()).toBe(0);
    await serve(undefined, port);
    await untilVerdict(
      /^This page has no token of this console, or one of an earlier start: .* use the address that it prints\.$/,
    );
    expect(await opened?.page.getByRole("link", { name: /^Playbook/ }).count()).toBe(0);
    await opened?.page.goto(served.url);
    await untilVerdict(/^All is well/);
  });

  test("that the identity is refused; and goes on when it is not any more", async () => {
    await serve();
    await look();
    answer = refuse(403);
    system.closeAllConnections();
    await untilVerdict(/^The supervisor refuses this console's identity \(403\): log in with gcloud/);
    answer = tellAllIsWell;
    await untilVerdict(/^All is well/);
  });

  test("that a resume failed and why, and the stream stays paused", async () => {
    const at = new Date(Date.now() - 60_000).toISOString();
    const untilAt = new Date(Date.now() + 3_600_000).toISOString();
    answer = (req, res) => {
      if (req.url?.includes("/resume"))
        return void res
          .writeHead(503, { "content-type": "application/problem+json" })
          .end(
            JSON.stringify({ status: 503, code: "buffer-away", detail: "Redis does not answer, or refuses" }),
          );
      tellAllIsWell(req, res);
      const pause = { kind: "pause", cursor: 2, at, stream: "orders", isPaused: true, untilAt, by: null };
      res.write(`${JSON.stringify(pause)}\n`);
    };
    await serve();
    opened = await openPage(browser, served.url);
    await untilVerdict(/^orders is paused/);
    await opened.page.getByRole("button", { name: /^Resume: / }).click();
    await opened.page.locator("#said", { hasText: "Redis does not answer, or refuses" }).waitFor();
    await untilVerdict(/^orders is paused/);
  });
});
