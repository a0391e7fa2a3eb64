/** A server that can't listen ends its process with a sentence, which names the setting that is to be changed. */
import type { Server } from "node:http";

/** Call it before the server listens; `portName`: the setting that has its port. */
export function endIfUnheard(server: Server, who: string, portName: string): void {
  const end = ({ code, port, address }: ListenError) => {
    const setting = code === "EADDRNOTAVAIL" ? `SUPERVISOR_HOST=${address}` : `${portName}=${port}`;
    console.error(`${who} can't listen on ${setting} (${code}).`);
    process.exit(1);
  };
  server.once("error", end);
  server.once("listening", () => server.off("error", end));
}

interface ListenError extends NodeJS.ErrnoException {
  port?: number;
  address?: string;
}
