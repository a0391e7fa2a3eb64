/**
 * The front door: puts a function's handler in front of the framework's Express app.
 *
 * The framework answers malformed JSON in HTML before a function runs. It inflates bodies to a gigabyte, runs each request in
 * a node:domain, and exits at once on SIGTERM. It makes its server with `http.createServer` after it has loaded this module,
 * so this module wraps that call. The server then gives every request directly to the handler, and the signals that end the process
 * are ours (shutdown.ts).
 */
import http, {
  type IncomingHttpHeaders,
  type IncomingMessage,
  type Server,
  type ServerOptions,
  type ServerResponse,
} from "node:http";
import type { Socket } from "node:net";
import { parseArgs } from "node:util";
import { HEADERS_MAX_BYTES } from "../lib/contract/limits.ts";
import type { ProblemCode } from "../lib/contract/problems.ts";
import { describeError } from "../lib/log.ts";
import { Problem, sendProblem } from "./answer.ts";
import { Connection } from "./connection.ts";
import { answerOptions, type Cors, FOR_EVERY_PAGE, isPreflight } from "./cors.ts";
import { giveRequestId, requestIdOf } from "./request-id.ts";
import type { Handler } from "./request-url.ts";
import { type Ending, endOnSignals } from "./shutdown.ts";

/** A function behind the front door. */
export interface Served extends Omit<Ending, "close"> {
  handler: Handler;
  /** Lets web pages read answers; absent: they may not. */
  cors?: Cors;
  /** Returns the log field that ties an entry to its request. */
  traceOf(headers: IncomingHttpHeaders): Record<string, string>;
}

/** Finds the target with which the framework was started. As in the framework, the flag wins over the environment. */
export function targetName(env: Record<string, string | undefined>): string | undefined {
  const { values } = parseArgs({ options: { target: { type: "string" } }, strict: false });
  return typeof values.target === "string" ? values.target : env.FUNCTION_TARGET;
}

export interface FrontDoorOptions {
  /** The address on which it listens. Absent: all of this machine's. */
  host?: string | undefined;
  /** What ends with it, after it. */
  beside?: readonly Ending[];
}

/** Makes every server that is created from now on serve this function. */
export function installFrontDoor(served: Served, { host, beside = [] }: FrontDoorOptions = {}): void {
  const createServer = http.createServer.bind(http) as typeof makeServer;
  http.createServer = (() => {
    const { server, ending } = openDoor(served, createServer);
    if (host !== undefined) listenOn(server, host);
    // After the framework has set its own listeners.
    server.once("listening", () => setImmediate(endOnSignals, [ending, ...beside]));
    return server;
  }) as unknown as typeof http.createServer;
}

/** Makes a server listen on this address alone: the framework names a port only. */
function listenOn(server: Server, host: string): void {
  const listen = server.listen.bind(server);
  server.listen = ((port: number, ready: () => void) => listen({ port, host }, ready)) as typeof listen;
}

const makeServer = (options: ServerOptions, listener: http.RequestListener): Server =>
  http.createServer(options, listener);

/** Makes a server that serves this function, and what ends it (shutdown.ts). */
export function openDoor(served: Served, create = makeServer): { server: Server; ending: Ending } {
  const door = new Door(served);
  // Without Host, Node would answer a 400 without a body.
  const server = create({ requireHostHeader: false }, (req, res) => void door.enter(req, res));
  server.keepAliveTimeout = 620_000; // longer than a Google front end keeps its connections
  server.headersTimeout = 30_000;
  server.requestTimeout = 60_000;
  // A client that ends its side after its requests still reads the answers. Node's documentation leaves this property out.
  Object.assign(server, { httpAllowHalfOpen: true });
  server.on("checkExpectation", (req, res) => {
    req.complete = true; // its sender waits before it sends the body
    void door.enter(req, res, UNEXPECTED);
  });
  server.on("clientError", (error: NodeJS.ErrnoException, socket) => {
    if (error.code !== AFTER_CLOSE) door.refuse(socket as Socket, problemOfParser(error));
  });
  // Node's parser does not miss the rest of a body after `Connection: upgrade`.
  server.on("connection", (socket) => socket.on("end", () => door.refuseHalf(socket)));
  server.on("connect", (_req, socket) => door.refuseTunnel(socket as Socket));
  const { log, onStopping, onStopped } = served;
  return { server, ending: { log, onStopping, onStopped, close: () => door.close(server) } };
}

/** What Node's parser says if something comes after a request that said `Connection: close`. Nobody waits for an answer to it. */
const AFTER_CLOSE = "HPE_CLOSED_CONNECTION";

/** Says that the connection closes after the answer. */
const CLOSE = { connection: "close" };

const ENDING = new Problem(
  "instance-ending",
  "this instance is ending",
  {},
  { "retry-after": "1", ...CLOSE },
);
const UNEXPECTED = new Problem("expectation-failed", "expected 100-continue or nothing in Expect", {}, CLOSE);
const HALF = new Problem("malformed-request", "expected a whole request, got only its beginning", {}, CLOSE);
const WITHOUT_HOST = new Problem("malformed-request", "expected a Host header", {}, CLOSE);
const TUNNEL = new Problem("method-not-allowed", "expected POST or GET");

/** What the errors of Node's parser mean to the sender, if it is more than "this is not HTTP". */
const PROBLEMS = new Map<string | undefined, [code: ProblemCode, detail: string]>([
  ["HPE_HEADER_OVERFLOW", ["headers-too-large", `expected headers of at most ${HEADERS_MAX_BYTES} bytes`]],
  ["HPE_CHUNK_EXTENSIONS_OVERFLOW", ["body-too-large", "expected chunk extensions of at most 16 KB"]],
  ["ERR_HTTP_REQUEST_TIMEOUT", ["request-timeout", "expected the whole request within a minute"]],
  ["HPE_INVALID_EOF_STATE", ["malformed-request", HALF.message]],
]);

const MALFORMED = ["malformed-request", "expected a request of HTTP/1.1"] as const;

function problemOfParser({ code }: NodeJS.ErrnoException): Problem {
  const [problem, detail] = PROBLEMS.get(code) ?? MALFORMED;
  return new Problem(problem, detail, {}, CLOSE);
}

/** Node's parser throws away what comes behind such a request in the same piece, though nothing is upgraded. */
const asksForUpgrade = ({ headers }: IncomingMessage): boolean =>
  headers.upgrade !== undefined && /\bupgrade\b/i.test(headers.connection ?? "");

class Door {
  readonly #served: Served;
  readonly #connections = new WeakMap<Socket, Connection>();
  #isStopping = false;

  constructor(served: Served) {
    this.#served = served;
  }

  /** Runs the handler, unless the request is refused before. If the handler throws an error, answers that error. */
  async enter(req: IncomingMessage, res: ServerResponse, refusal?: Problem): Promise<void> {
    res.on("error", () => {}); // the client is gone, so nobody can receive the error
    giveRequestId(req);
    const { cors, handler } = this.#served;
    cors?.begin(req, res);
    const connection = this.#connectionOf(req.socket);
    const refused = refusal ?? this.#refusalOf(req, connection);
    connection.note(req, res);
    if (asksForUpgrade(req)) res.setHeader("connection", "close");
    try {
      if (refused) throw refused;
      // Whatever its path is, so that the page may read the 404 of its request.
      if (cors && isPreflight(req)) answerOptions(res);
      else await handler(req, res);
    } catch (error) {
      cors?.allow(req, res); // every page may read a refusal
      sendProblem(res, this.#problemOf(error, req, connection));
    }
    if (this.#isStopping) connection.endSoon();
  }

  /** Answers malformed or never-ending requests, which never reach a handler. */
  refuse(socket: Socket, problem: Problem): void {
    if (socket.writable) this.#connectionOf(socket).refuse(problem);
    else if (!this.#connections.get(socket)?.isEnded) socket.destroy();
  }

  /** Refuses the request that the client's end of the connection has cut off, if there is one. */
  refuseHalf(socket: Socket): void {
    if (this.#connections.get(socket)?.isReceiving) this.refuse(socket, HALF);
  }

  /** Refuses CONNECT. Node has left the socket to us, without listeners. */
  refuseTunnel(socket: Socket): void {
    socket.on("error", () => {}).resume();
    this.refuse(socket, TUNNEL);
  }

  #connectionOf(socket: Socket): Connection {
    const known = this.#connections.get(socket);
    if (known) return known;
    const connection = new Connection(socket, this.#served.cors ? FOR_EVERY_PAGE : {});
    this.#connections.set(socket, connection);
    return connection;
  }

  #refusalOf(req: IncomingMessage, { problem }: Connection): Problem | undefined {
    if (problem) return problem;
    // After a preflight that is refused, a page sends nothing: its request may come to another instance.
    if (this.#isStopping && !isPreflight(req)) return ENDING;
    return req.httpVersion === "1.1" && req.headers.host === undefined ? WITHOUT_HOST : undefined;
  }

  #problemOf(error: unknown, req: IncomingMessage, connection: Connection): Problem {
    if (error instanceof Problem) return connection.problemOf(req) ?? error;
    const { log, traceOf } = this.#served;
    log.error("request.failed", { ...describeError(error), ...requestIdOf(req), ...traceOf(req.headers) });
    return new Problem("internal-error", "something unexpected went wrong; it was logged");
  }

  /** Refuses what comes from now on, and resolves when the requests in flight are answered. May be repeated. */
  close(server: Server): Promise<void> {
    this.#isStopping = true;
    return new Promise((resolve) => {
      server.close(() => resolve());
      server.closeIdleConnections();
    });
  }
}
