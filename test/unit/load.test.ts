/** The load generator accounts for each request that it offered: it was answered, failed, or waits. */
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { runLoad } from "../../dev/load/load.ts";

test("a server that closes idle connections gets every request all the same", async () => {
  let received = 0;
  const server = createServer((req, res) => {
    req.resume().on("end", () => {
      received += 1;
      setTimeout(() => res.writeHead(201, { "content-length": 2 }).end("{}"), 20);
    });
  });
  server.keepAliveTimeout = 100;
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close().closeAllConnections());
  const { port } = server.address() as AddressInfo;
  const phases = [
    { seconds: 1, perSecond: 1000 }, // uses twenty connections and more
    { seconds: 3, perSecond: 10 }, // uses one, so the others are closed
    { seconds: 1, perSecond: 1000 },
  ];
  const load = await runLoad({ port, phases, connections: 50, warmupSeconds: 0, timeoutMs: 5000 });
  const offered = load.perSecond.reduce((sum, second) => sum + second.offered, 0);
  expect(offered).toBe(2030);
  expect(load.requests + load.errors + load.unanswered).toBe(offered);
  expect(received).toBeGreaterThanOrEqual(load.requests);
  expect(load.errors).toBeLessThan(offered / 20); // a connection may close in the moment of its use
}, 30_000);
