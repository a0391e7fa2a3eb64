import * as c from "./candidates.ts";
import { measure } from "./measure.ts";
import { startStack } from "./stack.ts";

const stack = await startStack();
const seconds = Number(process.argv[2] ?? 5),
  rounds = Number(process.argv[3] ?? 2);
const which = (
  process.argv[4] ??
  "empty:gps:1,spillwayPaused:gps:1,empty:mixed:1,spillwayPaused:mixed:1,spillwayPaused:gps:100,spillwayPaused:webhooks:100,spillway:gps:1"
).split(",");
try {
  for (let r = 0; r < rounds; r++)
    for (const w of which) {
      const [name, kind, per] = w.split(":") as [keyof typeof c, any, string];
      const m = await measure(stack, c[name] as any, { kind, perPost: Number(per), phases: [{ seconds }] });
      const l = m.load;
      console.log(
        w.padEnd(30),
        `req/s ${(l.requests / l.seconds).toFixed(0)} ev/s ${(l.events / l.seconds).toFixed(0)} p50 ${l.latencies.percentileMs(0.5).toFixed(1)} p99 ${l.latencies.percentileMs(0.99).toFixed(1)} err ${l.errors} push/ev ${(m.costs.pushCommands / l.ids.length).toFixed(4)} cmd/ev ${((m.total ?? m.costs).redisCommands / l.ids.length).toFixed(4)} cpu/req ${((m.costs.processCpuSeconds / l.requests) * 1e6).toFixed(0)}us gen ${l.cpuSeconds.toFixed(1)}s redis ${m.costs.redisCpuSeconds.toFixed(1)} mem ${(m.costs.peakMemoryBytes / 1e6).toFixed(0)}MB stored/s ${m.storedPerSecond.toFixed(0)} lag ${m.lagP50Ms.toFixed(0)}/${m.lagP99Ms.toFixed(0)} conn ${m.total?.peakConnections} pgcpu ${m.total?.postgresCpuSeconds.toFixed(1)} tx ${m.total?.postgresTransactions}`,
        JSON.stringify(l.statuses),
        m.conservation.isKept ? "kept" : JSON.stringify(m.conservation),
      );
    }
} finally {
  await stack.stop();
}
