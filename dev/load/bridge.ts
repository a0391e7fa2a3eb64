/**
 * One bridge as a process of its own, as Upstash and Neon are: `tsx dev/load/bridge.ts upstash|neon PORT`. Tells its
 * parent when it listens, and ends with it. DELAY_MS: each request to Postgres takes so many milliseconds more.
 */
import { startNeonBridge } from "../stack/neon-bridge.ts";
import { startUpstashBridge } from "../stack/upstash-bridge.ts";

const [which, port] = process.argv.slice(2);
const { REDIS_URL: redisUrl = "", REST_TOKEN: token = "" } = process.env;

if (which === "upstash") await startUpstashBridge({ redisUrl, token, port: Number(port) });
else {
  const neon = await startNeonBridge({ port: Number(port) });
  const delayMs = Number(process.env.DELAY_MS ?? 0);
  if (delayMs > 0) neon.setFault(() => ({ kind: "slow", delayMs }));
}
process.send?.("ready");
process.once("SIGTERM", () => process.exit(0));
