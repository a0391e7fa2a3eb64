/**
 * An ingest that keeps its contract and stores events by id, with a fault for each request as it is told. Counts what a sender must not do:
 * two requests of a stream at one time.
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** `after`: the events are stored, and the answer is lost. `partial`: each third event is refused. */
export type Fault =
  | {
      kind:
        | "503"
        | "cut-before"
        | "cut-after"
        | "hang"
        | "413"
        | "401"
        | "403"
        | "422"
        | "500"
        | "partial"
        | "400";
    }
  | { kind: "429"; retryAfterSeconds: number }
  /** Answers that are not Spillway's. */
  | { kind: "portal" | "proxy-404" };

export interface Received {
  id: string;
  [field: string]: unknown;
}

export type FaultServer = Awaited<ReturnType<typeof startFaultServer>>;

/** Starts the server on a free port. `close` it. */
export async function startFaultServer() {
  const stored = new Map<string, Received>();
  /** How often each id came. */
  const times = new Map<string, number>();
  const requests: {
    method: string;
    url: string;
    headers: IncomingMessage["headers"];
    body: string;
    status: number;
  }[] = [];
  const faults: Fault[] = [];
  const inFlight = new Map<string, number>();
  let mostInFlight = 0;
  let preflights = 0;
  let isAway = false;
  let dateMs: number | undefined;
  let key: string | undefined;

  const server = createServer((req, res) => void answer(req, res));
  const sockets = () => server.closeAllConnections();

  async function answer(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const url = req.url ?? "";
    const lane = new URL(url, "http://x").pathname;
    if (isAway) return void req.socket.destroy();
    allow(req, res);
    if (req.method === "OPTIONS") {
      preflights++;
      return void res.writeHead(204).end();
    }
    const count = (inFlight.get(lane) ?? 0) + 1;
    inFlight.set(lane, count);
    mostInFlight = Math.max(mostInFlight, count);
    const leave = () => inFlight.set(lane, (inFlight.get(lane) ?? 1) - 1);
    res.on("close", leave);
    let body = "";
    for await (const piece of req.setEncoding("utf8")) body += piece;
    const events = JSON.parse(body) as Received[];
    const fault = isKeyWrong(req) ? ({ kind: "401" } as const) : faults.shift();
    reply(req, res, fault, events);
    requests.push({ method: req.method ?? "", url, headers: req.headers, body, status: res.statusCode });
  }

  const isKeyWrong = (req: IncomingMessage) =>
    key !== undefined && req.headers.authorization !== `Bearer ${key}`;

  function allow(req: IncomingMessage, res: ServerResponse): void {
    if (dateMs !== undefined) res.setHeader("date", new Date(dateMs).toUTCString());
    if (!req.headers.origin) return;
    res.setHeader("access-control-allow-origin", "*");
    res.setHeader("access-control-expose-headers", "Retry-After, Date");
    res.setHeader("access-control-allow-headers", "authorization, content-type");
  }

  function store(events: readonly Received[]): void {
    for (const event of events) {
      times.set(event.id, (times.get(event.id) ?? 0) + 1);
      if (!stored.has(event.id)) stored.set(event.id, event);
    }
  }

  const json = (res: ServerResponse, status: number, body: object, headers: Record<string, string> = {}) =>
    void res
      .writeHead(status, {
        "content-type": status < 300 ? "application/json" : "application/problem+json",
        ...headers,
      })
      .end(JSON.stringify(body));
  const problem = (res: ServerResponse, status: number, code: string, more: object = {}, headers = {}) =>
    json(res, status, { title: code, status, code, detail: `because of ${code}`, ...more }, headers);

  function accept(
    res: ServerResponse,
    events: readonly Received[],
    isRefused: (place: number) => boolean,
  ): unknown {
    const good = events.filter((_, place) => !isRefused(place));
    const errors = [{ path: "n", message: "expected another" }];
    const rejected = events.flatMap((_, index) => (isRefused(index) ? [{ index, errors }] : []));
    if (good.length === 0)
      return problem(res, 422, "invalid-event", {
        errors: rejected.map(({ index }) => ({ index, ...errors[0] })),
      });
    store(good);
    json(res, 202, {
      accepted: good.length,
      ids: good.map(({ id }) => id),
      ack: "buffered",
      ...(rejected.length > 0 ? { rejected } : {}),
    });
  }

  function reply(
    req: IncomingMessage,
    res: ServerResponse,
    fault: Fault | undefined,
    events: Received[],
  ): unknown {
    if (!fault) return accept(res, events, () => false);
    switch (fault.kind) {
      case "partial":
        return accept(res, events, (place) => place % 3 === 0);
      case "422":
        return accept(res, events, () => true);
      case "503":
        return problem(res, 503, "buffer-full", { ids: events.map(({ id }) => id) }, { "retry-after": "0" });
      case "429":
        return problem(res, 429, "rate-limited", {}, { "retry-after": String(fault.retryAfterSeconds) });
      case "cut-before":
        return void req.socket.destroy();
      case "cut-after":
        store(events);
        return void req.socket.destroy();
      case "hang":
        return; // until the client gives up
      case "portal":
        // Two answers that only look like Spillway's, and one that does not.
        return requests.length % 3 === 0
          ? void res.writeHead(200, { "content-type": "text/html" }).end("<html>please sign in</html>")
          : json(
              res,
              202,
              requests.length % 3 === 1 ? { accepted: true } : { ids: [...events, {}].map(String) },
            );
      case "proxy-404":
        return void res.writeHead(404, { "content-type": "text/html" }).end("<html>not here</html>");
      default:
        return problem(res, Number(fault.kind), codes[fault.kind] ?? "internal-error");
    }
  }

  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    stored,
    times,
    requests,
    faults,
    /** Takes this key only; undefined: any. */
    setKey: (only: string | undefined) => {
      key = only;
    },
    /** Answers no connection while it is away. */
    setAway: (away: boolean) => {
      isAway = away;
    },
    /** The `Date` of its answers; undefined: the real one. */
    setDate: (ms: number | undefined) => {
      dateMs = ms;
    },
    mostInFlight: () => mostInFlight,
    preflights: () => preflights,
    cutAll: sockets,
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        sockets();
      }),
  };
}

const codes: Record<string, string> = {
  "400": "invalid-body",
  "401": "unknown-key",
  "403": "stream-not-allowed",
  "413": "body-too-large",
  "500": "internal-error",
};
