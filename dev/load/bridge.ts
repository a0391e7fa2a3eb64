/**
 * One bridge as a process of its own, as Upstash and Neon are: `tsx dev/load/bridge.ts upstash|neon PORT`. Tells its
 * parent when it listens, and ends with it. DELAY_MS: each request to Postgres takes so many milliseconds more. The bridge to Postgres answers
 * each message of its parent by the number of requests so far: each is one statement, or one transaction.
 */
import type { Fault } from "../stack/breakable-server.ts";
import { startNeonBridge } from "../stack/neon-bridge.ts";
import { startUpstashBridge } from "../stack/upstash-bridge.ts";

const [which, port] = process.argv.slice(2);
const { REDIS_URL: redisUrl = "", REST_TOKEN: token = "" } = process.env;

if (which === "upstash") await startUpstashBridge({ redisUrl, token, port: Number(port) });
else {
  const neon = await startNeonBridge({ port: Number(port) });
  const delayMs = Number(process.env.DELAY_MS ?? 0);
  const slow: Fault | undefined = delayMs > 0 ? { kind: "slow", delayMs } : undefined;
  let requests = 0;
  neon.setFault(() => {
    requests += 1;
    return slow;
  });
  process.on("message", () => process.send?.(requests));
}
process.send?.("ready");
process.once("SIGTERM", () => process.exit(0));
