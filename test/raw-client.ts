/** A client of plain sockets: sends bytes as they are, and reads every answer until the server closes. */
import { connect } from "node:net";

export interface RawAnswer {
  status: number;
  headers: Map<string, string>;
  body: string;
}

export type RawClient = ReturnType<typeof openRawClient>;

/** Connects to a server on this machine. It keeps its side open until told to end, as allowHalfOpen does. */
export function openRawClient(port: number) {
  const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
  let received = "";
  socket.setEncoding("latin1").on("data", (text: string) => {
    received += text;
  });
  const closed = new Promise<void>((resolve) => {
    socket.once("end", () => {
      socket.end();
      resolve();
    });
    socket.once("error", () => resolve());
  });

  return {
    send: (bytes: string) => void socket.write(bytes, "latin1"),
    /** Ends its own side, and goes on reading. */
    end: () => void socket.end(),
    destroy: () => void socket.destroy(),
    /** Waits until the server has closed, and returns all its answers. */
    async answers(): Promise<RawAnswer[]> {
      await closed;
      return answersIn(received);
    },
    /** Waits until so many answers have come, and returns these; fewer if the server closes before. */
    async firstAnswers(count: number): Promise<RawAnswer[]> {
      let isClosed = false;
      void closed.then(() => {
        isClosed = true;
      });
      while (!isClosed && answersIn(received).length < count)
        await new Promise((resolve) => setTimeout(resolve, 2));
      return answersIn(received);
    },
  };
}

/** Splits what came into answers, by their Content-Length. 100 Continue is none. `heads`: the X-Request-Ids of HEAD requests. */
export function answersIn(text: string, heads: ReadonlySet<string> = new Set()): RawAnswer[] {
  const answers: RawAnswer[] = [];
  for (let rest = text; ; ) {
    const headEnd = rest.indexOf("\r\n\r\n");
    if (headEnd === -1) return answers;
    const [statusLine = "", ...lines] = rest.slice(0, headEnd).split("\r\n");
    const headers = new Map(
      lines.map((line) => {
        const colon = line.indexOf(":");
        return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
      }),
    );
    const isHead = heads.has(headers.get("x-request-id") ?? "");
    const bodyEnd = headEnd + 4 + (isHead ? 0 : Number(headers.get("content-length") ?? 0));
    if (rest.length < bodyEnd) return answers;
    const status = Number(statusLine.split(" ")[1]);
    if (status !== 100) answers.push({ status, headers, body: rest.slice(headEnd + 4, bodyEnd) });
    rest = rest.slice(bodyEnd);
  }
}
