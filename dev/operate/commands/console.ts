/** `spillway console`: serves the console's page on this machine, for a running `spillway start` or the deployed system, until Ctrl-C. */
import { startConsole } from "../../console/console-server.ts";
import { targetOf } from "../../console/target.ts";
import { action } from "../command.ts";
import { CommandFailed, wholeNumber } from "../command-line.ts";
import { supervisorOptions } from "../find-supervisor.ts";
import { stackIfRunning } from "../local-stack.ts";

export default action({
  about: "Serves the console on this machine: a page that says what is wrong and mends it.",
  options: {
    ...supervisorOptions,
    write: {
      type: "boolean",
      about:
        "the page may change something that is no running spillway start, too (without it, it only reads)",
    },
    host: {
      type: "string",
      value: "ADDRESS",
      about: "where it listens (127.0.0.1); only 127.0.0.1 and localhost are its names all the same",
    },
    port: { type: "string", value: "N", about: "its port on 127.0.0.1 (a free one)" },
  },
  notes:
    "It runs until Ctrl-C. Open the address that it prints: the part behind # is the key of this start. --write guards against slips,\nnot against people: whoever may run this may also ask the supervisor otherwise.",
  async run({ values: { prod = false, write = false, host = LOOPBACK, port } }) {
    const target = await targetOf({ prod, write });
    const surge = target.isProd ? undefined : await openSurge();
    const running = await startConsole({
      ...{ target, host },
      port: wholeNumber("--port", port, 0),
      routes: surge?.routes ?? new Map(),
    }).catch((error: NodeJS.ErrnoException) => {
      if (error.code === undefined || !CANT_LISTEN.includes(error.code)) throw error;
      const place = host === LOOPBACK ? "" : ` of ${host}`;
      throw new CommandFailed(`The console can't listen on port ${port}${place} (${error.code}).`);
    });
    console.log(`Console ${running.url}`);
    console.log(
      `It shows ${target.supervisor.place}${target.canWrite ? " and may change it" : ", and only reads: --write lets it change something"}.`,
    );
    console.log("Ctrl-C ends it.");
    await new Promise<void>((resolve) => {
      for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(name, () => resolve());
    });
    await running.close();
    await surge?.stop();
    return 0;
  },
});

const LOOPBACK = "127.0.0.1";
const CANT_LISTEN = ["EADDRINUSE", "EADDRNOTAVAIL", "ENOTFOUND", "EACCES", "ERR_SOCKET_BAD_PORT"];

/** The surge of a running `spillway start`; without one there is none. */
async function openSurge() {
  const { databaseUrl, redisUrl } = stackIfRunning() ?? {};
  if (databaseUrl === undefined || redisUrl === undefined) return undefined;
  const { createSurge } = await import("../../surge/surge.ts");
  const { surgeRoutes } = await import("../../surge/answer-surge.ts");
  const surge = createSurge({ databaseUrl, redisUrl });
  return { routes: surgeRoutes(surge), stop: () => surge.stop() };
}
