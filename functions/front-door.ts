/**
 * The front door: puts a function's handler in front of the framework's Express app.
 *
 * The framework answers malformed JSON in HTML before a function runs. It inflates bodies to a gigabyte, runs each request in
 * a node:domain, and exits at once on SIGTERM. It makes its server with `http.createServer` after it has loaded this module,
 * so this module wraps that call. The server then gives every request directly to the handler. On SIGTERM it takes no new
 * connection, waits up to nine seconds for the requests in flight, and then the process exits.
 */
import http, {
  type IncomingHttpHeaders,
  type IncomingMessage,
  type Server,
  type ServerResponse,
  STATUS_CODES,
} from "node:http";
import type { Socket } from "node:net";
import { parseArgs } from "node:util";
import { describeError, type Log } from "../lib/log.ts";
import { Problem, sendProblem, tryAgain } from "./answer.ts";
import type { Handler } from "./request-url.ts";

/** How long requests in flight may take after SIGTERM. Cloud Run kills the process ten seconds after SIGTERM. */
const SHUTDOWN_MS = 9000;

/** A function behind the front door. */
export interface Served {
  handler: Handler;
  log: Log;
  /** Returns the log field that ties an entry to its request. */
  traceOf(headers: IncomingHttpHeaders): Record<string, string>;
  /** Called on SIGTERM or SIGINT, before the server waits for the requests in flight. */
  onStopping(): void;
  /** Called after the last request or after nine seconds, before the process ends. */
  onStopped(): void;
}

/** Finds the target with which the framework was started. As in the framework, the flag wins over the environment. */
export function targetName(env: Record<string, string | undefined>): string | undefined {
  const { values } = parseArgs({ options: { target: { type: "string" } }, strict: false });
  return typeof values.target === "string" ? values.target : env.FUNCTION_TARGET;
}

/** Makes every server that is created from now on serve this function. */
export function installFrontDoor(served: Served): void {
  const createServer = http.createServer.bind(http) as typeof makeServer;
  http.createServer = (() => {
    const { server, guard } = openDoor(served, createServer);
    server.once("listening", () => setImmediate(guard)); // after the framework has set its own listeners
    return server;
  }) as unknown as typeof http.createServer;
}

const makeServer = (listener: http.RequestListener): Server => http.createServer(listener);

/** Makes a server that serves this function. `guard` makes SIGTERM and SIGINT stop the server before the process ends. */
export function openDoor(served: Served, create = makeServer): { server: Server; guard: () => void } {
  const door = new Door(served);
  const server = create((req, res) => void door.enter(req, res));
  server.keepAliveTimeout = 620_000; // longer than a Google front end keeps its connections
  server.headersTimeout = 30_000;
  server.requestTimeout = 60_000;
  server.on("clientError", (error, socket) => door.refuse(error, socket as Socket));
  return { server, guard: () => door.guard(server) };
}

/** The status for each error of Node's parser that is not a plain 400. */
const STATUS_BY_CODE: Record<string, number> = {
  HPE_HEADER_OVERFLOW: 431,
  HPE_CHUNK_EXTENSIONS_OVERFLOW: 413,
  ERR_HTTP_REQUEST_TIMEOUT: 408,
};

class Door {
  readonly #served: Served;
  /** Connections on which a handler is at work. Nothing else may write an answer there. */
  readonly #busy = new WeakSet<Socket>();
  #isStopping = false;

  constructor(served: Served) {
    this.#served = served;
  }

  /** Runs the handler. If it throws an error, answers that error. */
  async enter(req: IncomingMessage, res: ServerResponse): Promise<void> {
    res.on("error", () => {}); // the client is gone, so nobody can receive the error
    if (this.#isStopping) {
      res.setHeader("connection", "close");
      sendProblem(res, tryAgain(503, "this instance is ending", {}, 1));
      return;
    }
    this.#busy.add(req.socket);
    try {
      await this.#served.handler(req, res);
    } catch (error) {
      sendProblem(res, this.#problemOf(error, req));
    }
    this.#busy.delete(req.socket);
    if (this.#isStopping) res.req.socket.end();
  }

  /** Answers malformed or never-ending requests, which never reach a handler. */
  refuse(error: NodeJS.ErrnoException, socket: Socket): void {
    if (!socket.writable || this.#busy.has(socket)) {
      socket.destroy();
      return;
    }
    const status = STATUS_BY_CODE[error.code ?? ""] ?? 400;
    const title = STATUS_CODES[status];
    const body = JSON.stringify({
      type: "about:blank",
      title,
      status,
      detail: "expected a request of HTTP/1.1",
    });
    socket.end(
      `HTTP/1.1 ${status} ${title}\r\ncontent-type: application/problem+json\r\n` +
        `content-length: ${body.length}\r\nconnection: close\r\n\r\n${body}`,
    );
  }

  #problemOf(error: unknown, req: IncomingMessage): Problem {
    if (error instanceof Problem) return error;
    const { log, traceOf } = this.#served;
    log.error("request.failed", { ...describeError(error), ...traceOf(req.headers) });
    return new Problem(500, "something unexpected went wrong; it was logged");
  }

  /** Replaces the framework's signal listeners, which end the process at once. */
  guard(server: Server): void {
    for (const signal of ["SIGTERM", "SIGINT"] as const) {
      process.removeAllListeners(signal);
      process.on(signal, () => this.#stop(server));
    }
  }

  #stop(server: Server): void {
    if (this.#isStopping) return;
    this.#isStopping = true;
    this.#served.log.info("function.stopping");
    this.#served.onStopping();
    const exit = () => {
      this.#served.onStopped();
      process.exit(0);
    };
    server.close(exit);
    server.closeIdleConnections();
    setTimeout(exit, SHUTDOWN_MS).unref();
  }
}
