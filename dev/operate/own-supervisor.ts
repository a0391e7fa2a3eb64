/**
 * A supervisor of the command's own, on a free port of the loopback, for as long as the command runs: for an environment that names
 * Redis and Postgres and no supervisor. So there is one way to do a thing, whoever does it.
 */
import type { AddressInfo } from "node:net";
import { openDoor } from "../../functions/front-door.ts";
import { wireSupervisor } from "../../functions/wire-supervisor.ts";
import { ConfigError, readConfig } from "../../lib/config.ts";
import { silentLog } from "../../lib/log.ts";
import { placeOfPostgres } from "../../lib/postgres-url.ts";
import { placeOfRedis } from "../../lib/redis-url.ts";
import { type Supervisor, supervisorAt } from "./ask-supervisor.ts";
import { CommandFailed } from "./command-line.ts";
import { loadYourStreams } from "./yours.ts";

/** Serves the installation's streams. Throws a CommandFailed that names every problem of the environment. */
export async function openOwnSupervisor(): Promise<Supervisor> {
  const config = configure();
  const { server } = openDoor(await wireSupervisor(await loadYourStreams(), config, silentLog));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  // The command ends when it is done, whatever connection is kept.
  server.unref().on("connection", (socket) => socket.unref());
  const { port } = server.address() as AddressInfo;
  const redis = config.redisUrl ? placeOfRedis(config.redisUrl) : new URL(config.restUrl ?? "").host;
  const place = `${redis} and ${placeOfPostgres(config.databaseUrl)}`;
  return { ...supervisorAt(`http://127.0.0.1:${port}`, async () => config.operatorToken), place };
}

function configure() {
  try {
    return readConfig(process.env);
  } catch (error) {
    if (error instanceof ConfigError) throw new CommandFailed(error.message);
    throw error;
  }
}
