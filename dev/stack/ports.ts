/**
 * Finds ports on this machine for the local stack.
 *
 * It looks for free ports below Linux's ephemeral range (32768 and up). Otherwise an outgoing connection could take the port of
 * a killed server before that server starts again.
 */
import { createServer } from "node:net";

const lowestFreePort = 15_000;
const highestFreePort = 32_000;

/** Finds `count` different ports that nothing listens on at this moment. Throws when 200 guesses were not enough. */
export async function findFreePorts(count: number): Promise<number[]> {
  const found = new Set<number>();
  for (let tries = 0; found.size < count; tries++) {
    if (tries > 200 + count)
      throw new Error(`No ${count} free ports between 15000 and 32000 on this machine.`);
    const port = lowestFreePort + Math.floor(Math.random() * (highestFreePort - lowestFreePort));
    if (!found.has(port) && (await isPortFree(port))) found.add(port);
  }
  return [...found];
}

/** Throws one sentence for people, naming the port and the way out, if something already listens on `port`. */
export async function requireFreePort(port: number, purpose: string): Promise<void> {
  if (await isPortFree(port)) return;
  throw new Error(
    `Port ${port} (${purpose}) is taken: stop what listens there, or set SPILLWAY_PORT_BASE to move all ports, e.g. SPILLWAY_PORT_BASE=${port < 60_000 ? 9080 : 8080}.`,
  );
}

/** True when the port can be bound on all interfaces (as functions-framework does) and on 127.0.0.1 (as the rest). */
async function isPortFree(port: number): Promise<boolean> {
  return (await canListen(port)) && (await canListen(port, "127.0.0.1"));
}

function canListen(port: number, host?: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once("error", () => resolve(false));
    probe.listen({ port, ...(host && { host }), exclusive: true }, () => probe.close(() => resolve(true)));
  });
}
