/**
 * An HTTP server on loopback that can be told to break. Both bridges use it.
 *
 * A function, set at run time, chooses a fault for each request after the request was read and parsed. So a test can break
 * "the third claim" or "every LPUSH". `close()` cuts off the requests that are under way.
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo, Server } from "node:net";

/**
 * What goes wrong with one request:
 * - `refuse` resets the connection at once; `cut-before` closes it; nothing runs.
 * - `hang` never answers and runs nothing; the connection is closed after `forMs` (default 60 s).
 * - `cut-after` runs the request, then closes the connection: the reply is lost.
 * - `status-429`, `status-500` (empty body) and `nonsense` (200 with HTML) answer without running anything.
 * - `answer` answers what it is given, without running anything.
 * - `truncated` runs the request and sends half of the reply.
 * - `slow` waits `delayMs`, then goes on normally.
 * - `slow-reply` runs the request at once, and sends the reply after `delayMs`.
 * - `late` runs the request after `delayMs` while the client hears nothing; `answer` says whether it sees the
 *   connection closed at once ("cut") or hang ("hang", the default, at most 60 s).
 */
export type Fault =
  | { kind: "refuse" | "cut-before" | "cut-after" | "status-429" | "status-500" | "nonsense" | "truncated" }
  | { kind: "answer"; status: number; body: string }
  | { kind: "hang"; forMs?: number }
  | { kind: "slow" | "slow-reply"; delayMs: number }
  | { kind: "late"; delayMs: number; answer?: "hang" | "cut" };

/** Chooses the fault of a request, or none. */
export type ChooseFault<Seen> = (seen: Seen) => Fault | undefined;

/** An HTTP answer; `unreachable` closes the connection instead, as a network failure would. */
export type Answer = { status: number; body: string } | "unreachable";

/** A request that was understood: what a fault function sees of it, and how to run it. `run` must not reject. */
export interface Understood<Seen> {
  seen: Seen;
  run: () => Promise<Answer>;
}

export interface BreakableServer<Seen> {
  port: number;
  url: string;
  setFault(choose: ChooseFault<Seen> | undefined): void;
  /** Closes every connection and forgets every pending delay. */
  close(): Promise<void>;
}

/** How long a client hears nothing, at most. */
export const LONGEST_HANG_MS = 60_000;

/** Listens on 127.0.0.1 (`port` 0 or absent: any free one) and answers what `understand` makes of each request. */
export async function startBreakableServer<Seen>(options: {
  port?: number | undefined;
  bodyMaxBytes: number;
  refuseSize: (bytes: number) => Answer;
  fault?: ChooseFault<Seen> | undefined;
  understand: (request: IncomingMessage, body: string) => Understood<Seen> | Answer;
}): Promise<BreakableServer<Seen>> {
  let choose = options.fault;
  const timers = new Set<NodeJS.Timeout>();
  const after = (ms: number, act: () => void) => {
    const timer = setTimeout(() => {
      timers.delete(timer);
      act();
    }, ms);
    timer.unref();
    timers.add(timer);
  };

  const server = createServer({ keepAliveTimeout: 75_000, requestTimeout: 0 }, (request, response) => {
    response.on("error", () => {});
    readBody(request, options.bodyMaxBytes, (body, bytes) => {
      if (body === undefined) return send(response, options.refuseSize(bytes));
      const understood = options.understand(request, body);
      if (typeof understood === "string" || !("run" in understood)) return send(response, understood);
      void answer(understood, choose?.(understood.seen), response, after);
    });
  });
  const port = await listenHere(server, options.port);
  return {
    port,
    url: `http://127.0.0.1:${port}`,
    setFault: (next) => {
      choose = next;
    },
    close: () => {
      for (const timer of timers) clearTimeout(timer);
      timers.clear();
      return new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      });
    },
  };
}

/** Listens on 127.0.0.1 (`port` 0 or absent: any free one), and returns the port. Throws if it is taken. */
export async function listenHere(server: Server, port = 0): Promise<number> {
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", () => resolve());
  });
  return (server.address() as AddressInfo).port;
}

type After = (ms: number, act: () => void) => void;

async function answer(
  { run }: Understood<unknown>,
  fault: Fault | undefined,
  response: ServerResponse,
  after: After,
): Promise<void> {
  const cut = () => void response.socket?.destroy();
  switch (fault?.kind) {
    case undefined:
      return send(response, await run());
    case "refuse":
      return void response.socket?.resetAndDestroy();
    case "cut-before":
      return cut();
    case "hang":
      return after(fault.forMs ?? LONGEST_HANG_MS, cut);
    case "cut-after":
      await run();
      return cut();
    case "status-429":
      return send(response, {
        status: 429,
        body: '{"error":"Too many requests","message":"Too many requests"}',
      });
    case "status-500":
      return send(response, { status: 500, body: "" });
    case "nonsense":
      return send(response, { status: 200, body: "<html><body>Bad Gateway</body></html>" });
    case "answer":
      return send(response, { status: fault.status, body: fault.body });
    case "truncated":
      return sendHalf(response, await run());
    case "slow":
      return after(fault.delayMs, async () => send(response, await run()));
    case "slow-reply": {
      const reply = await run();
      return after(fault.delayMs, () => send(response, reply));
    }
    case "late":
      after(fault.delayMs, () => void run());
      return fault.answer === "cut" ? cut() : after(LONGEST_HANG_MS, cut);
  }
}

/** Collects the body as text and hands it on; past `maxBytes` nothing is kept and the body is undefined. */
function readBody(
  request: IncomingMessage,
  maxBytes: number,
  use: (body: string | undefined, bytes: number) => void,
): void {
  const chunks: Buffer[] = [];
  let bytes = 0;
  request.on("data", (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes <= maxBytes) chunks.push(chunk);
  });
  request.on("error", () => {});
  request.on("end", () => {
    const only = chunks.length === 1 ? chunks[0] : undefined;
    use(bytes > maxBytes ? undefined : (only ?? Buffer.concat(chunks)).toString("utf8"), bytes);
  });
}

function send(response: ServerResponse, answer: Answer): void {
  if (response.destroyed) return;
  if (answer === "unreachable") return void response.socket?.destroy();
  const body = Buffer.from(answer.body);
  response.writeHead(answer.status, {
    "content-type": answer.body.startsWith("<") ? "text/html" : "application/json",
    "content-length": body.length,
  });
  response.end(body);
}

function sendHalf(response: ServerResponse, answer: Answer): void {
  if (answer === "unreachable") return void response.socket?.destroy();
  response.writeHead(answer.status, {
    "content-type": "application/json",
    "content-length": Buffer.byteLength(answer.body),
  });
  response.write(answer.body.slice(0, Math.ceil(answer.body.length / 2)), () => response.socket?.destroy());
}
