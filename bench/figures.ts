/** From what was measured to the figures that are reported, each named with its unit. */
import type { Measured } from "./measure.ts";
import type { Costs } from "./meters.ts";
import { redisDollarsPerMillion } from "./prices.ts";
import type { Figures } from "./results.ts";

/** What one candidate did under one load. */
export function figuresOf({ load, costs, total, ...measured }: Measured): Figures {
  const events = load.ids.length;
  return {
    requestsPerSecond: load.requests / load.seconds,
    eventsPerSecond: load.events / load.seconds,
    p50Ms: load.latencies.percentileMs(0.5),
    p99Ms: load.latencies.percentileMs(0.99),
    errors: load.errors + load.unanswered,
    functionCpuMicrosPerRequest: (costs.processCpuSeconds / load.requests) * 1e6,
    storedPerSecond: measured.storedPerSecond,
    lagP50Ms: measured.lagP50Ms,
    lagP99Ms: measured.lagP99Ms,
    pushCommandsPerEvent: costs.pushCommands / events,
    ...costFigures(total ?? costs, events),
    rowsPerBatch: measured.rowsPerBatch,
    lost: measured.conservation.lost,
  };
}

/** What a number of events cost. */
export function costFigures(costs: Costs, events: number): Figures {
  const commands = costs.redisCommands / events;
  return {
    peakConnections: costs.peakConnections,
    transactionsPerMillion: (costs.postgresTransactions / events) * 1e6,
    postgresCpuPerMillion: (costs.postgresCpuSeconds / events) * 1e6,
    walBytesPerEvent: costs.walBytes / events,
    redisCommandsPerEvent: commands,
    drainCommandsPerEvent: (costs.redisCommands - costs.pushCommands) / events,
    redisDollarsPerMillion: redisDollarsPerMillion(commands),
    functionCpuPerMillion: (costs.processCpuSeconds / events) * 1e6,
    redisCpuPerMillion: (costs.redisCpuSeconds / events) * 1e6,
    bridgeCpuPerMillion: (costs.bridgeCpuSeconds / events) * 1e6,
    peakMemoryMb: costs.peakMemoryBytes / 1e6,
  };
}
