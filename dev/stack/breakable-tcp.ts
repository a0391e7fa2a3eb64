/**
 * A TCP server on loopback that stands before another one and can be told to break, by the same faults as the bridges (breakable-server.ts).
 *
 * A protocol cuts the bytes of a client into exchanges (a command, a transaction) and those of the server into their replies. The exchanges
 * of a connection are answered one after the other, so a fault meets one exchange alone. A fault of HTTP alone cuts the connection instead.
 */
import { connect, createServer, type Socket } from "node:net";
import {
  type BreakableServer,
  type ChooseFault,
  type Fault,
  LONGEST_HANG_MS,
  listenHere,
} from "./breakable-server.ts";

/** A part of what a client sends: `seen` is absent for a part that passes without a fault, and without waiting for a reply. */
export interface Exchange<Seen> {
  bytes: Buffer;
  seen?: Seen;
  /** How the reply to it ends. */
  replies: number;
}

/** Reads one connection. */
export interface Reading<Seen> {
  /** Takes the client's bytes; returns the exchanges that are whole. */
  fromClient(bytes: Buffer): Exchange<Seen>[];
  /** How long the first reply in these bytes of the server is; undefined: it is not whole. */
  replyLength(bytes: Buffer): number | undefined;
  /** A reply as the server would give it; undefined: the protocol has none. */
  answer(exchange: Exchange<Seen>, body: string): Buffer | undefined;
}

/** Listens on 127.0.0.1 (`port` absent: any free one), before the server at `upstream`. */
export async function startBreakableTcp<Seen>(options: {
  port?: number | undefined;
  upstream: { host: string; port: number };
  fault?: ChooseFault<Seen> | undefined;
  read: () => Reading<Seen>;
}): Promise<BreakableServer<Seen>> {
  let choose = options.fault;
  const lines = new Set<Line<Seen>>();
  const server = createServer({ noDelay: true }, (client) => {
    const line = new Line(client, connect({ ...options.upstream, noDelay: true }), options.read(), (seen) =>
      choose?.(seen),
    );
    lines.add(line);
    client.on("close", () => lines.delete(line));
  });
  const port = await listenHere(server, options.port);
  return {
    port,
    url: `http://127.0.0.1:${port}`,
    setFault: (next) => {
      choose = next;
    },
    close: () => {
      for (const line of lines) line.end();
      return new Promise((resolve) => void server.close(() => resolve()));
    },
  };
}

/** A client's connection, and the one to the server that belongs to it. */
class Line<Seen> {
  readonly #client: Socket;
  readonly #server: Socket;
  readonly #reading: Reading<Seen>;
  readonly #choose: ChooseFault<Seen>;
  readonly #timers = new Set<NodeJS.Timeout>();
  #queue: Exchange<Seen>[] = [];
  #isBusy = false;
  /** What the server sent and nobody took. */
  #unread = Buffer.alloc(0);
  /** Who waits for so many replies. */
  #waiting: { replies: number; take: (reply: Buffer) => void } | undefined;

  constructor(client: Socket, server: Socket, reading: Reading<Seen>, choose: ChooseFault<Seen>) {
    this.#client = client;
    this.#server = server;
    this.#reading = reading;
    this.#choose = choose;
    for (const socket of [client, server]) socket.on("error", () => {});
    client.on("data", (bytes) => {
      this.#queue.push(...reading.fromClient(bytes));
      void this.#work();
    });
    client.on("close", () => {
      if (this.#timers.size === 0) server.end();
    });
    server.on("data", (bytes) => this.#hear(bytes));
    server.on("close", () => this.#passLastWords());
  }

  /** Cuts both connections and forgets every delay. */
  end(): void {
    for (const timer of this.#timers) clearTimeout(timer);
    this.#client.destroy();
    this.#server.destroy();
  }

  /** The server has ended the connection, maybe in the middle of a reply: the client hears why, and then the end. */
  #passLastWords(): void {
    this.#waiting?.take(this.#unread);
    this.#waiting = undefined;
    setImmediate(() => this.#client.end());
  }

  #hear(bytes: Buffer): void {
    if (this.#waiting === undefined) {
      this.#client.write(bytes);
      return;
    }
    this.#unread = Buffer.concat([this.#unread, bytes]);
    let end = 0;
    for (let found = 0; found < this.#waiting.replies; found++) {
      const length = this.#reading.replyLength(this.#unread.subarray(end));
      if (length === undefined) return;
      end += length;
    }
    const [reply, rest] = [this.#unread.subarray(0, end), this.#unread.subarray(end)];
    const { take } = this.#waiting;
    this.#waiting = undefined;
    this.#unread = Buffer.alloc(0);
    take(reply);
    if (rest.length > 0) this.#hear(rest);
  }

  async #work(): Promise<void> {
    if (this.#isBusy) return;
    this.#isBusy = true;
    for (;;) {
      const exchange = this.#queue.shift();
      if (exchange === undefined) break;
      if (exchange.seen === undefined) this.#server.write(exchange.bytes);
      else await this.#answer(exchange, this.#choose(exchange.seen));
    }
    this.#isBusy = false;
  }

  /** Sends an exchange on, and waits for the whole reply. */
  #run({ bytes, replies }: Exchange<Seen>): Promise<Buffer> {
    const reply = new Promise<Buffer>((take) => {
      this.#waiting = { replies, take };
    });
    this.#server.write(bytes);
    return reply;
  }

  /** Waits; a connection whose client has gone is kept for so long. */
  #wait(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        this.#timers.delete(timer);
        resolve();
        if (this.#client.destroyed && this.#timers.size === 0) setImmediate(() => this.#server.end());
      }, ms);
      timer.unref();
      this.#timers.add(timer);
    });
  }

  async #answer(exchange: Exchange<Seen>, fault: Fault | undefined): Promise<void> {
    switch (fault?.kind) {
      case undefined:
        this.#client.write(await this.#run(exchange));
        return;
      case "answer": {
        const reply = this.#reading.answer(exchange, fault.body);
        if (reply) this.#client.write(reply);
        else this.end();
        return;
      }
      case "nonsense":
        this.#client.write("<html><body>Bad Gateway</body></html>\r\n", () => this.end());
        return this.#never();
      case "refuse":
        this.#client.resetAndDestroy();
        return this.#never();
      case "cut-before":
      case "status-429":
      case "status-500":
        this.end();
        return this.#never();
      case "cut-after":
        await this.#run(exchange);
        this.end();
        return this.#never();
      case "truncated": {
        const reply = await this.#run(exchange);
        this.#client.write(reply.subarray(0, Math.ceil(reply.length / 2)), () => this.end());
        return this.#never();
      }
      case "slow":
        await this.#wait(fault.delayMs);
        this.#client.write(await this.#run(exchange));
        return;
      case "slow-reply": {
        const reply = await this.#run(exchange);
        await this.#wait(fault.delayMs);
        this.#client.write(reply);
        return;
      }
      case "hang":
        await this.#wait(fault.forMs ?? LONGEST_HANG_MS);
        this.end();
        return this.#never();
      case "late": {
        const waited = this.#wait(fault.delayMs);
        if (fault.answer === "cut") this.#client.destroy();
        await waited;
        await this.#run(exchange);
        if (fault.answer !== "cut") await this.#wait(LONGEST_HANG_MS);
        this.end();
        return this.#never();
      }
    }
  }

  /** Nothing follows on a connection that was cut. */
  #never(): Promise<never> {
    this.#queue = [];
    return new Promise(() => {});
  }
}
