/** The transport under both clients, against a plain server on loopback: what it gives back, and what it throws. */
import { once } from "node:events";
import { createServer, type RequestListener, type Server } from "node:http";
import { type AddressInfo, createServer as createTcpServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, describe, expect, test } from "vitest";
import { connectRedis } from "../../lib/buffer/redis-client.ts";
import { redisFailureOf } from "../../lib/buffer/redis-errors.ts";
import { ConnectionFailed, sendPost } from "../../lib/http-post.ts";

let server: Server | undefined;
afterEach(() => {
  server?.closeAllConnections();
  server?.close();
});

async function serve(listener: RequestListener): Promise<string> {
  const made = createServer(listener);
  server = made;
  await new Promise<void>((resolve) => made.listen(0, "127.0.0.1", resolve));
  return `http://127.0.0.1:${(made.address() as AddressInfo).port}`;
}
const send = (url: string, timeoutMs = 5000) =>
  sendPost(url, { headers: { "x-a": "b" }, body: "ä", timeoutMs });

describe("a POST", () => {
  test("gives the status and the whole text, whatever the status", async () => {
    const url = await serve(async (req, res) => {
      let body = "";
      for await (const chunk of req.setEncoding("utf8")) body += chunk;
      res
        .writeHead(503, { "x-reply": "yes" })
        .end(`${req.method} ${req.headers["x-a"]} ${body} `.repeat(50_000));
    });
    const { status, headers, text } = await send(url);
    expect([status, headers["x-reply"]]).toEqual([503, "yes"]);
    expect(text).toBe("POST b ä ".repeat(50_000));
  });

  test("that nobody answers ends when its time is over, and its connection with it", async () => {
    let closed: Promise<unknown> | undefined;
    const url = await serve((req) => {
      closed = once(req.socket, "close");
    });
    await expect(send(url, 500)).rejects.toMatchObject({ name: "TimedOut" });
    expect(closed, "the server has seen the request").toBeDefined();
    await closed;
  });

  test("whose handshake nobody finishes ends when its time is over", async () => {
    const deaf = createTcpServer();
    await new Promise<void>((resolve) => deaf.listen(0, "127.0.0.1", resolve));
    const sent = send(`https://127.0.0.1:${(deaf.address() as AddressInfo).port}`, 200);
    const ended = await Promise.race([sent.catch((error: Error) => error.name), sleep(5000, "too late")]);
    deaf.close();
    expect(ended).toBe("TimedOut");
  });

  test("whose reply stops half way ends when its time is over", async () => {
    const url = await serve(
      (_req, res) => void res.writeHead(200, { "content-length": "100" }).write("half"),
    );
    await expect(send(url, 200)).rejects.toMatchObject({ name: "TimedOut" });
  });

  test.each<[string, RequestListener]>([
    ["is cut before the reply", (_req, res) => void res.socket?.destroy()],
    [
      "is cut within the reply",
      (_req, res) => {
        res.writeHead(200, { "content-length": "100" });
        res.write("half", () => res.socket?.destroy());
      },
    ],
  ])("whose connection %s has failed", async (_when, listener) => {
    await expect(send(await serve(listener))).rejects.toBeInstanceOf(ConnectionFailed);
  });

  test("to a port where nobody listens has failed", async () => {
    const url = await serve(() => {});
    await new Promise((resolve) => server?.close(resolve));
    await expect(send(url)).rejects.toBeInstanceOf(ConnectionFailed);
  });

  test("is sent once", async () => {
    let requests = 0;
    const url = await serve((_req, res) => {
      requests += 1;
      res.socket?.destroy();
    });
    await expect(send(url)).rejects.toThrow();
    expect(requests).toBe(1);
  });
});

describe("the Redis client", () => {
  const connect = (restUrl: string) => connectRedis({ restUrl, restToken: "secret" }, 5000);

  test("gives strings as they are, and carries the sync token from reply to request", async () => {
    const seen: unknown[] = [];
    const url = await serve((req, res) => {
      seen.push([req.url, req.headers.authorization, req.headers["upstash-sync-token"]]);
      res.setHeader("upstash-sync-token", `token ${seen.length}`);
      const results = ["9007199254740993", '{"a":1}', "123"].map((result) => ({ result }));
      res.end(JSON.stringify(req.url === "/pipeline" ? results : results[seen.length - 1]));
    });
    const redis = connect(`${url}/`);
    expect([await redis.get("a"), await redis.get("b")]).toEqual(["9007199254740993", '{"a":1}']);
    expect(await redis.pipeline().get("a").get("b").get("c").exec()).toEqual([
      "9007199254740993",
      '{"a":1}',
      "123",
    ]);
    expect(seen).toEqual([
      ["/", "Bearer secret", ""],
      ["/", "Bearer secret", "token 1"],
      ["/pipeline", "Bearer secret", "token 2"],
    ]);
  });

  test.each([
    [400, '{"error":"WRONGTYPE Operation against a key"}', "misconfigured"],
    [401, '{"error":"WRONGPASS invalid or missing auth token"}', "misconfigured"],
    [400, '{"error":"ERR unknown command"}', "answered"],
    [400, '{"error":"ERR max requests limit exceeded. Limit: 1"}', "quota"],
    [500, '{"error":null}', "silent"],
    [500, "null", "silent"],
    [502, "<html>Bad Gateway</html>", "silent"],
    [200, "<html>Welcome</html>", "silent"],
    [200, "", "silent"],
  ])("%i %s", async (status, body, failure) => {
    const url = await serve((_req, res) => res.writeHead(status).end(body));
    const error = await connect(url)
      .lpush("key", "somebody's data")
      .then(
        () => undefined,
        (thrown: unknown) => thrown,
      );
    expect(redisFailureOf(error)).toBe(failure);
    expect(String(error)).not.toContain("somebody");
  });
});
