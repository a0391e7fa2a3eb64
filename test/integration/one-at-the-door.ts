/** A server of the test's own, which holds back or changes single answers: the mailer of a worker, or what stands before ingest. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** Answers a request, or goes no further: then the answer is held back until the server closes. */
export type Answer = (req: IncomingMessage, body: string, res: ServerResponse) => Promise<void> | void;

export async function serveAtTheDoor(answer: Answer) {
  const server = createServer(async (req, res) => {
    let body = "";
    for await (const piece of req.setEncoding("utf8")) body += piece;
    await answer(req, body, res);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const close = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, close };
}
