/** A server that does nothing but answer, so that the load generator alone is measured. Tells its parent when it listens on the port. */
import { createServer } from "node:net";

const ANSWER = "HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n";

const server = createServer({ noDelay: true }, (socket) => {
  socket.on("data", () => socket.write(ANSWER));
  socket.on("error", () => {});
});
server.listen(Number(process.argv[2]), "127.0.0.1", () => process.send?.("ready"));
process.once("SIGTERM", () => process.exit(0));
