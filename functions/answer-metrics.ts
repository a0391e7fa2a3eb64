/** Answers `GET /metrics` of the supervisor, in the text format of Prometheus. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { supervisorPaths } from "../lib/contract/paths.ts";
import type { Metrics } from "../lib/operate/metrics.ts";
import { Problem, sendText } from "./answer.ts";
import { READ, type Route } from "./route.ts";

interface MetricsDeps {
  /** Counts what is drained; absent: nothing is counted. */
  metrics?: Metrics;
}

export const metricsRoutes: readonly Route<MetricsDeps>[] = [
  { path: supervisorPaths.metrics, methods: READ, answer: answerMetrics },
];

async function answerMetrics(
  { metrics }: MetricsDeps,
  _: IncomingMessage,
  res: ServerResponse,
): Promise<void> {
  if (metrics === undefined) throw new Problem("unknown-path", "this supervisor keeps no metrics");
  sendText(res, 200, metrics.contentType, await metrics.read());
}
