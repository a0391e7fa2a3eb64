/**
 * The console's server, asked by whoever is not its page, and the headers that bind each of its answers. In place of a system there is a
 * server that answers everything alike.
 */
import { createServer, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Console, startConsole } from "../../dev/console/console-server.ts";
import { supervisorAt } from "../../dev/operate/ask-supervisor.ts";
import { askConsole, tokenOf } from "./ask-console.ts";

let system: Server;
let served: Console;
/** Another console of the same system. */
let another: Console;

beforeAll(async () => {
  system = createServer(
    (_, res) => void res.writeHead(200, { "content-type": "application/json" }).end("{}"),
  );
  await new Promise<void>((resolve) => system.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${(system.address() as AddressInfo).port}`;
  const supervisor = supervisorAt(url, async () => undefined);
  const target = { supervisor, ingest: { url, apiKey: "key" }, isProd: false, canWrite: true };
  const routes = new Map([["GET /api/own", async (_: unknown, res: ServerResponse) => void res.end("own")]]);
  served = await startConsole({ target, port: 0, routes });
  another = await startConsole({ target, port: 0 });
});
afterAll(async () => {
  await served.close();
  await another.close();
  system.closeAllConnections();
  system.close();
});

describe("whoever is not the page is refused:", () => {
  const about = (headers: Record<string, string>) => askConsole(served, "GET", "/api/about", headers);
  const token = () => ({ "x-spillway-console": tokenOf(served) });

  test("by the token, if it is missing or another", async () => {
    expect((await about(token()))[0]).toBe(200);
    for (const headers of [{}, { "x-spillway-console": "" }, { "x-spillway-console": tokenOf(another) }])
      expect(await about(headers)).toMatchObject([401, { status: 401 }]);
    expect((await askConsole(served, "POST", "/api/supervisor/drain", {}))[0]).toBe(401);
  });

  test.each(["evil.example", "127.0.0.1", "localhost:1", "evil.example:80"])(
    "by the Host %j, the page's files too",
    async (host) => {
      expect((await about({ ...token(), host }))[0]).toBe(403);
      expect((await askConsole(served, "GET", "/", { host }))[0]).toBe(403);
    },
  );

  test.each([
    { origin: "https://evil.example" },
    { origin: "null" },
    { origin: "http://127.0.0.1:1" },
    { "sec-fetch-site": "cross-site" },
    { "sec-fetch-site": "same-site" },
  ])("by %j", async (headers) => {
    expect((await about({ ...token(), ...headers }))[0]).toBe(403);
  });

  test("and nothing but the page's own paths is there", async () => {
    for (const path of ["/api/supervisor/keys", "/api/supervisor/prune", "/api/x", "/x"])
      expect((await askConsole(served, "GET", path, token()))[0]).toBe(404);
    expect((await askConsole(served, "OPTIONS", "/api/about", token()))[0]).toBe(404);
  });

  test("the page may load and ask nothing but its own server, and nobody may frame it", async () => {
    const { headers } = await fetch(`http://127.0.0.1:${served.port}/`);
    expect(headers.get("content-security-policy")).toBe(
      "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    );
    expect(headers.get("access-control-allow-origin")).toBeNull();
  });
});

test("each answer is bound to its own server and kept by nobody: files, errors, what is forwarded, and a route of the server's own", async () => {
  const headers = { "x-spillway-console": tokenOf(served) };
  const forwarded = ["/api/supervisor/status", "/api/supervisor/live"];
  for (const path of ["/", "/api/about", ...forwarded, "/api/own", "/x"]) {
    const answered = await fetch(`http://127.0.0.1:${served.port}${path}`, { headers });
    expect([path, answered.headers.get("content-security-policy")]).toEqual([
      path,
      expect.stringContaining("default-src 'none'; script-src 'self'"),
    ]);
    expect([path, answered.headers.get("x-content-type-options")]).toEqual([path, "nosniff"]);
    expect([path, answered.headers.get("cross-origin-resource-policy")]).toEqual([path, "same-origin"]);
    expect([path, answered.headers.get("cache-control")]).toEqual([path, "no-store"]);
  }
});

test("a body that is too large is refused with a sentence, which arrives", async () => {
  const headers = { "x-spillway-console": tokenOf(served) };
  const response = await fetch(`http://127.0.0.1:${served.port}/api/ingest/v1/orders`, {
    method: "POST",
    headers,
    body: "x".repeat(3_000_000),
  });
  expect(response.status).toBe(413);
  expect(await response.json()).toMatchObject({ detail: "expected at most 1000000 bytes" });
});
