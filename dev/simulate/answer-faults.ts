/** Faults that come as answers: a disk without room for large rows, and a proxy that refuses before Postgres is asked. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Fault } from "../stack/breakable-server.ts";
import type { SeenByNeonBridge } from "../stack/neon-bridge.ts";
import type { StreamName } from "./events.ts";
import type { Inflict } from "./faults.ts";

/** A row from this size on finds no room, in characters of its parameter; and the streams with many of them. */
const LARGE_ROW = 1500;
const WITH_LARGE_ROWS: readonly StreamName[] = ["events", "activities"];
/** Parameters of one request beyond which the proxy refuses it; the largest event alone is below that, also in quotes of quotes. */
const PROXY_MAX = 16_000;

const refusal = (status: number, body: object): Fault => ({
  kind: "answer",
  status,
  body: JSON.stringify(body),
});

/** As Postgres and Neon's proxy say it. */
const DISK_FULL = refusal(400, {
  message: 'could not extend file "base/16384/16385": No space left on device',
  hint: "Check free disk space.",
  ...{ severity: "ERROR", code: "53100", file: "md.c", line: "613", routine: "mdextend" },
});
const QUOTA = refusal(500, {
  message:
    "Your account or project has exceeded the compute time quota. Upgrade your plan to increase limits.",
});
const WRONG_PASSWORD = refusal(400, {
  message: "password authentication failed for user 'simulated'",
  code: "",
});
const TOO_LARGE = refusal(413, { message: "request is too large" });

/** For a while the bridge answers so to each request that `answerTo` gives a fault for. */
const answering =
  (answerTo: (seen: SeenByNeonBridge, table: StreamName) => Fault | undefined): Inflict =>
  async ({ stack, random }) => {
    const table = random.pick(WITH_LARGE_ROWS);
    stack.neonBridge.setFault((seen) => answerTo(seen, table));
    await sleep(random.whole(500, 3000));
    stack.neonBridge.setFault(undefined);
  };

const parametersOf = ({ queries }: SeenByNeonBridge): string[] =>
  queries.flatMap(({ params }) => params.map(String));

/** Whether one of the rows is large. A parameter is a row, or an array of rows, or (of a DO block) an array of rows as text. */
function hasLargeRow(seen: SeenByNeonBridge): boolean {
  return parametersOf(seen)
    .filter((text) => /^[[{]/.test(text))
    .flatMap((text) => JSON.parse(text) as unknown)
    .some((row) => JSON.stringify(row).length > LARGE_ROW);
}

/** Every such fault by name. */
export const ANSWER_FAULTS: Record<string, Inflict> = {
  "disk full": answering((seen, table) =>
    seen.queries.some(({ query }) => query.includes(`insert into "${table}"`)) && hasLargeRow(seen)
      ? DISK_FULL
      : undefined,
  ),
  "proxy refuses: quota": answering(() => QUOTA),
  "proxy refuses: password": answering(() => WRONG_PASSWORD),
  "proxy refuses: size": answering((seen) =>
    parametersOf(seen).reduce((sum, text) => sum + text.length, 0) > PROXY_MAX ? TOO_LARGE : undefined,
  ),
};
