/**
 * One client connection, and what is answered on it. HTTP/1.1 lets a client send requests before it has read the answers to
 * earlier ones. So something malformed can follow requests whose handlers are still at work: they are answered first, in their
 * order, then what was malformed, and then the connection closes.
 */
import { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { type Problem, sendProblem } from "./answer.ts";

/** How long the client may take to read its last answer and to close its side, in milliseconds. */
const LINGER_MS = 2000;

export class Connection {
  readonly #socket: Socket;
  readonly #headers: Readonly<Record<string, string>>;
  #unanswered = 0;
  /** The request that came last. Only its body can be on its way. */
  #latest: IncomingMessage | undefined;
  #problem: Problem | undefined;
  /** The request within whose body the problem was. */
  #broken: IncomingMessage | undefined;
  #isEnding = false;
  #isEnded = false;

  /** `headers`: of an answer to something that is no request. */
  constructor(socket: Socket, headers: Readonly<Record<string, string>>) {
    this.#socket = socket;
    this.#headers = headers;
    // Node calls this after an answer that says `close`, and, if the client has ended its side, after the answer to the last request.
    // Of that request, the event 'close' is still to come.
    socket.destroySoon = () => {
      if (!this.#owesAnswer || this.#unanswered > 1) this.#end();
    };
  }

  /** What was malformed; undefined: nothing yet. After a 408, the rest of a late request may still come. */
  get problem(): Problem | undefined {
    return this.#problem;
  }

  /** Whether a request's body has not come to its end. */
  get isReceiving(): boolean {
    return this.#latest !== undefined && !this.#latest.complete;
  }

  /** Whether the server has ended its side. Answers may still be on their way to the client. */
  get isEnded(): boolean {
    return this.#isEnded;
  }

  /** Notes a request, until its answer is sent or the client is gone. One that comes after the problem is answered by it. */
  note(req: IncomingMessage, res: ServerResponse): void {
    this.#unanswered += 1;
    this.#latest = req;
    if (this.#problem) this.#broken ??= req;
    res.once("close", () => {
      this.#unanswered -= 1;
      this.#endIfAnswered();
    });
  }

  /** Closes the connection after the answers to the requests that it has brought. */
  endSoon(): void {
    this.#isEnding = true;
    this.#endIfAnswered();
  }

  /**
   * Answers something malformed, after the requests before it. If it was within the body of a request, that request's own answer is
   * the answer to it: the handler is told by the event 'error' on the request, whenever it listens. The socket is kept open for
   * that answer, so this is not `req.destroy`. Only the first call counts: Node reports each further piece of garbage.
   */
  refuse(problem: Problem): void {
    if (this.#problem) return;
    this.#problem = problem;
    if (this.#latest && this.isReceiving) {
      this.#broken = this.#latest;
      breakOff(this.#latest, problem);
    }
    this.endSoon();
  }

  /** The problem by which the body of this request broke off; undefined: it did not. */
  problemOf(req: IncomingMessage): Problem | undefined {
    return this.#broken === req ? this.#problem : undefined;
  }

  /** Whether the problem is the answer to no request, and has to be sent after all others. */
  get #owesAnswer(): boolean {
    return this.#problem !== undefined && this.#broken === undefined;
  }

  #endIfAnswered(): void {
    if (!this.#isEnding || this.#unanswered > 0 || !this.#socket.writable) return;
    if (this.#problem && this.#owesAnswer) this.#answerGarbage(this.#problem);
    else this.#end();
  }

  /** Sends a problem that is the answer to no request. */
  #answerGarbage(problem: Problem): void {
    const req = new IncomingMessage(this.#socket);
    req.complete = true; // there is no body to read on
    const res = new ServerResponse(req);
    res.assignSocket(this.#socket);
    for (const [name, value] of Object.entries(this.#headers)) res.setHeader(name, value);
    sendProblem(res, problem);
    res.once("finish", () => this.#end());
  }

  /** What the client still sends is read and thrown away for a while: else its kernel may throw the answer away. */
  #end(): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#socket.end();
    const timer = setTimeout(() => this.#socket.destroy(), LINGER_MS).unref();
    this.#socket.once("close", () => clearTimeout(timer));
  }
}

/** Tells the handler that reads this body, or begins to read it later. */
function breakOff(req: IncomingMessage, problem: Problem): void {
  if (req.listenerCount("error") > 0) req.emit("error", problem);
  req.on("newListener", (event) => {
    if (event !== "error") return;
    queueMicrotask(() => {
      if (req.listenerCount("error") > 0) req.emit("error", problem);
    });
  });
}
