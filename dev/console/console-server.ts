/**
 * The console's server, on the loopback of an operator's machine: it serves the page, and forwards a fixed list of requests to the supervisor
 * and to ingest with the operator's own rights. So nothing new is public, and no secret reaches the page.
 */
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { ConsoleAbout } from "../../lib/contract/console.ts";
import { answerProblem, makeSafe } from "./answer.ts";
import { bundlePage, type PageFile } from "./bundle.ts";
import { type ConsoleTarget, forward } from "./forward.ts";
import { Guard } from "./guard.ts";
import { routeOf } from "./routes.ts";

export interface ConsoleOptions {
  target: ConsoleTarget;
  /** Where it listens. @default "127.0.0.1" */
  host?: string;
  /** 0: any free port. */
  port: number;
  /** What only this server answers, by `METHOD /path`; it is called once Host, Origin and token are right. */
  routes?: ReadonlyMap<string, (req: IncomingMessage, res: ServerResponse) => Promise<void>>;
}

export interface Console {
  /** The address to open. Its fragment holds the token. */
  url: string;
  port: number;
  close(): Promise<void>;
}

/** Starts it. In a container it listens on all addresses; what is asked has to be named 127.0.0.1 or localhost even then (guard.ts). Throws if the port is taken, or the page can't be bundled. */
export async function startConsole(options: ConsoleOptions): Promise<Console> {
  const page = await bundlePage();
  const server = createServer();
  server.listen(options.port, options.host ?? "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  const guard = new Guard(port);
  server.on("request", (req, res) => {
    makeSafe(res);
    answer({ ...options, page, guard }, req, res).catch(() => {
      if (res.headersSent) res.destroy();
      else answerProblem(res, 500, "The console's server failed", "this should not have happened");
    });
  });
  return {
    url: `http://127.0.0.1:${port}/#${guard.token}`,
    port,
    async close() {
      server.close();
      server.closeAllConnections();
      if (server.listening) await once(server, "close");
    },
  };
}

type Deps = ConsoleOptions & { page: ReadonlyMap<string, PageFile>; guard: Guard };

async function answer(
  { target, routes, page, guard }: Deps,
  req: IncomingMessage,
  res: ServerResponse,
): Promise<void> {
  const place = guard.denyPlace(req);
  if (place) return answerProblem(res, place.status, place.title, place.detail);
  const path = req.url?.split("?")[0] ?? "";
  const file = req.method === "GET" ? page.get(path) : undefined;
  if (file) return serve(res, file);
  const token = guard.denyToken(req);
  if (token) return answerProblem(res, token.status, token.title, token.detail);
  const name = `${req.method} ${path}`;
  if (name === "GET /api/about") return sendAbout(res, target);
  const own = routes?.get(name);
  if (own) return own(req, res);
  const route = routeOf(req.method, req.url ?? "");
  if (route) return forward(target, route, req, res);
  answerProblem(
    res,
    404,
    "There is nothing at this path",
    "expected a path that the console's page asks for",
  );
}

function serve(res: ServerResponse, { type, bytes }: PageFile): void {
  res.writeHead(200, { "content-type": type, "content-length": bytes.byteLength });
  res.end(bytes);
}

function sendAbout(res: ServerResponse, { supervisor, ingest, isProd, canWrite }: ConsoleTarget): void {
  const about: ConsoleAbout = {
    ...{ place: supervisor.place, isProd, canWrite },
    ingestUrl: ingest?.url ?? null,
    canSend: canWrite && ingest?.apiKey !== undefined,
  };
  res.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(about));
}
