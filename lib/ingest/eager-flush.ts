/**
 * The eager flush: asks the supervisor, by another request, to drain one partition now. Best effort: whatever
 * goes wrong costs only eagerness, since the next crossing or the tick makes up for it.
 *
 * - `off`: nothing is sent. - `http`: sent, not awaited. - `tasks`: creating the task is awaited, 300 ms at most,
 * because Cloud Run takes the CPU away after the answer.
 */
import { fieldsOfPartition, type Partition } from "../buffer/redis-keys.ts";
import { describeError, type Log } from "../log.ts";

/** Sends a flush; resolves when the caller may answer. Never throws. */
export type Flush = (partition: Partition) => Promise<void>;

/** How long a request may wait for its task to be created, in milliseconds. */
export const TASK_TIMEOUT_MS = 300;
/** A flush may drain for a whole drain deadline; past this it is given up, in milliseconds. */
const HTTP_TIMEOUT_MS = 120_000;

export const noFlush: Flush = async () => {};

const flushUrl = (supervisorUrl: string, { stream, index }: Partition) =>
  `${supervisorUrl}/drain/${stream}?partition=${index}`;

/** Lets one flush of a partition be under way at a time in this instance; others meanwhile are left out. */
function onePerPartition(send: Flush): Flush {
  const underWay = new Set<string>();
  return async (partition) => {
    const name = `${partition.stream}:${partition.index}`;
    if (underWay.has(name)) return;
    underWay.add(name);
    try {
      await send(partition);
    } finally {
      underWay.delete(name);
    }
  };
}

/** The local trigger: the request is sent and nobody waits for it. */
export function httpFlush(supervisorUrl: string, log: Log): Flush {
  const send = onePerPartition(async (partition) => {
    try {
      const response = await fetch(flushUrl(supervisorUrl, partition), {
        method: "POST",
        signal: AbortSignal.timeout(HTTP_TIMEOUT_MS),
      });
      await response.arrayBuffer(); // frees the connection
    } catch (error) {
      log.warn("flush.failed", { ...fieldsOfPartition(partition), ...describeError(error) });
    }
  });
  return async (partition) => {
    void send(partition);
  };
}

interface TasksOptions {
  supervisorUrl: string;
  /** `projects/P/locations/L/queues/Q`; the queue itself adds the OIDC token of its service account. */
  queue: string;
  accessToken: () => Promise<string>;
  log: Log;
  /** Cloud Tasks' REST endpoint. */
  endpoint?: string;
}

/** The production trigger: one Cloud Tasks task, which calls the supervisor. */
export function tasksFlush({ supervisorUrl, queue, accessToken, log, endpoint }: TasksOptions): Flush {
  const url = `${endpoint ?? "https://cloudtasks.googleapis.com"}/v2/${queue}/tasks`;
  return onePerPartition(async (partition) => {
    const signal = AbortSignal.timeout(TASK_TIMEOUT_MS);
    try {
      const response = await fetch(url, {
        method: "POST",
        signal,
        headers: { authorization: `Bearer ${await accessToken()}`, "content-type": "application/json" },
        body: JSON.stringify({
          task: { httpRequest: { httpMethod: "POST", url: flushUrl(supervisorUrl, partition) } },
        }),
      });
      await response.arrayBuffer();
      if (!response.ok)
        log.warn("flush.failed", { ...fieldsOfPartition(partition), status: response.status });
    } catch (error) {
      log.warn("flush.failed", { ...fieldsOfPartition(partition), ...describeError(error) });
    }
  });
}
