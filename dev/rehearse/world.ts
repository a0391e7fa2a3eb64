/** A Redis, a Postgres and a cloud of their own in a temporary folder, for the rehearsal and for the tests of the build. */
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findFreePorts } from "../stack/ports.ts";
import { startPostgres } from "../stack/postgres-server.ts";
import { startRedis } from "../stack/redis-server.ts";
import { Cloud } from "./cloud.ts";
import { Vendors } from "./vendors.ts";

export type World = Awaited<ReturnType<typeof openWorld>>;

/** Opens it; `close` ends every process and deletes the folder. */
export async function openWorld(onLine?: (line: string) => void) {
  const folder = mkdtempSync(join(tmpdir(), "spillway-rehearsal-"));
  chmodSync(folder, 0o755); // Postgres's user has to get through
  const [redisPort = 0, postgresPort = 0] = await findFreePorts(2);
  const redis = await startRedis({ dir: join(folder, "redis"), port: redisPort, appendfsync: "everysec" });
  const postgres = await startPostgres({ dir: join(folder, "postgres"), port: postgresPort });
  const vendors = await Vendors.open(redis.url, postgres.url);
  const cloud = new Cloud(vendors, onLine);
  const close = async () => {
    await cloud.close();
    await vendors.close();
    await Promise.all([redis.stop(), postgres.stop()]);
    rmSync(folder, { recursive: true, force: true });
  };
  return { folder, cloud, vendors, redisUrl: redis.url, databaseUrl: postgres.url, close };
}
