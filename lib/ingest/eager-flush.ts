/**
 * The eager flush: sends the supervisor a request to drain one partition now. If it fails, events only wait longer: the next
 * crossing or the next tick drains them.
 *
 * - `off`: sends nothing.
 * - `http`: sends the request and does not wait.
 * - `tasks`: waits until the task is created, 300 ms at most, because Cloud Run takes the CPU away after the answer.
 */
import { fieldsOfPartition, type Partition } from "../buffer/redis-keys.ts";
import { describeError, type Log } from "../log.ts";

/** Sends a flush. Resolves when the caller may answer its request. Never throws. */
export type Flush = (partition: Partition) => Promise<void>;

/** How long a request may wait for its task to be created, in milliseconds. */
export const TASK_TIMEOUT_MS = 300;
/** The timeout of a flush over HTTP, in milliseconds. It is longer than a drain deadline, because a flush may drain so long. */
const HTTP_TIMEOUT_MS = 120_000;

export const noFlush: Flush = async () => {};

const flushUrl = (supervisorUrl: string, { stream, index }: Partition) =>
  `${supervisorUrl}/drain/${stream}?partition=${index}`;

/** Sends at most one flush of a partition at a time in this instance. Any other flush of it meanwhile is not sent. */
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

/** The trigger without a queue: sends the request, and nobody waits for its answer. `token`: the supervisor's, if it wants one. */
export function httpFlush(supervisorUrl: string, log: Log, token?: string): Flush {
  const headers: Record<string, string> = token === undefined ? {} : { authorization: `Bearer ${token}` };
  const send = onePerPartition(async (partition) => {
    try {
      const response = await fetch(flushUrl(supervisorUrl, partition), {
        method: "POST",
        headers,
        signal: AbortSignal.timeout(HTTP_TIMEOUT_MS),
      });
      await response.arrayBuffer(); // frees the connection
      if (response.status === 401)
        log.warn("flush.failed", { ...fieldsOfPartition(partition), status: response.status });
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
  /** `projects/P/locations/L/queues/Q`. The queue itself adds the OIDC token of its service account. */
  queue: string;
  accessToken: () => Promise<string>;
  log: Log;
  /** Cloud Tasks' REST endpoint. */
  endpoint?: string;
}

/** The production trigger: creates one Cloud Tasks task, which calls the supervisor. */
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
