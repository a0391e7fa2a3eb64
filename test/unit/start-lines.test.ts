/** The lines that `npm start` prints: what is told, how often, and what is not. */
import { execFileSync } from "node:child_process";
import { pgSchema, text } from "drizzle-orm/pg-core";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { paintFor } from "../../dev/tell/describe.ts";
import { describeFirstSteps } from "../../dev/tell/first-steps.ts";
import { Teller } from "../../dev/tell/teller.ts";
import { registryOf } from "../../lib/schema/registry.ts";
import { defineStream, eventColumns } from "../../lib/schema/stream.ts";

/** A teller, and what it printed without the time. */
function telling() {
  const printed: string[] = [];
  const teller = new Teller(
    (line) => printed.push(line.replace(/^\d\d:\d\d:\d\d /, "")),
    (_, word) => word,
  );
  const read = (entry: Record<string, unknown>, source: "ingest" | "supervisor" = "supervisor") =>
    teller.read(source, JSON.stringify(entry), "stdout");
  return { teller, read, printed };
}

const nothing = {
  ...{ batches: 0, stored: 0, duplicates: 0, differing: 0, superseded: 0, dead: 0, held: 0 },
  ...{ remaining: 0, outcome: "empty" },
};
const tick = (...streams: Record<string, unknown>[]) => ({
  ...{ severity: "INFO", event: "drain.finished", flush: false, durationMs: 7.4 },
  streams: streams.map((one) => ({ ...nothing, ...one })),
});

test("the first steps read the stream's table by its own name and schema", () => {
  const table = pgSchema("sales").table('it\'s "new"', { ...eventColumns(), note: text("note") });
  const stream = defineStream({ name: "orders", table, schema: z.strictObject({ note: z.string() }) });
  const places = { ingestUrl: "http://127.0.0.1:8080", apiKey: "key", databaseUrl: "postgres://here/db" };
  const line = /psql .*/.exec(describeFirstSteps(registryOf([stream]), places, "streams/"))?.[0] ?? "";
  const words = execFileSync("sh", ["-c", line.replace("psql", "printf '%s\\n'")], { encoding: "utf8" });
  expect(words.split("\n").slice(0, 3)).toEqual([
    ...["postgres://here/db", "-c", 'select * from "sales"."it\'s ""new"""'],
  ]);
});

describe("answers", () => {
  test("accepted events are one line, the busiest stream first", () => {
    const { read, printed } = telling();
    read({ event: "local.accepted", streams: { visits: 2, orders: 40 } }, "ingest");
    expect(printed).toEqual(["ingest   42 accepted in 1 s: orders 40, visits 2"]);
  });

  test("a refused request is one line; of those that are not told, one line has the sum", () => {
    const { read, printed } = telling();
    const refusal = {
      route: "POST /v1/orders",
      status: 401,
      code: "missing-key",
      sentence: "expected a key",
    };
    read({ event: "local.refused", ...refusal }, "ingest");
    read({ event: "local.refused-more", codes: { "invalid-event": 94, "missing-key": 900 } }, "ingest");
    expect(printed).toEqual([
      "refused  POST /v1/orders  401 missing-key  expected a key",
      "refused  and 994 more: missing-key 900, invalid-event 94",
    ]);
  });
});

describe("drains", () => {
  test("a tick that found nothing says nothing", () => {
    const { read, printed } = telling();
    read(tick({ stream: "orders" }));
    read(tick());
    expect(printed).toEqual([]);
  });

  test("only streams of which something was stored are told", () => {
    const { read, printed } = telling();
    read(
      tick({ stream: "idle" }, { stream: "orders", batches: 2, stored: 120, duplicates: 1, remaining: 3 }),
    );
    expect(printed).toEqual(["drain    orders: 120 stored in 2 batches, 1 there already, 3 left  (7 ms)"]);
  });

  test("a stop is told when it begins and when it ends, not with each tick", () => {
    const { read, printed } = telling();
    const stop = { severity: "ERROR", event: "store.misconfigured", stream: "orders", sqlstate: "42P01" };
    for (let ticks = 0; ticks < 5; ticks++) {
      read({ ...stop, requestId: `r${ticks}`, reason: "relation orders does not exist" });
      read(tick({ stream: "orders", batches: 0, outcome: "misconfigured", remaining: null }));
    }
    read(tick({ stream: "orders", batches: 1, stored: 1 }));
    read(tick({ stream: "orders" }));
    expect(printed).toEqual([
      "drain    orders: events wait: relation orders does not exist (SQLSTATE 42P01)",
      "drain    orders: 1 stored in 1 batch  (7 ms)",
      "drain    orders: the drain goes on",
    ]);
  });

  test("a flush of one partition does not end a stop, and a stop with another reason is told", () => {
    const { read, printed } = telling();
    read({ event: "store.unavailable", severity: "WARNING", stream: "orders", reason: "no answer" });
    read({ ...tick({ stream: "orders" }), flush: true });
    read({ event: "store.unavailable", severity: "WARNING", stream: "orders", reason: "a lock" });
    expect(printed).toEqual([
      "drain    orders: events wait: no answer",
      "drain    orders: events wait: a lock",
    ]);
  });

  test("Redis that is away is told once for all streams", () => {
    const { read, printed } = telling();
    for (let ticks = 0; ticks < 3; ticks++) {
      read({ event: "buffer.unavailable", severity: "WARNING", error: "TypeError" });
      read(tick({ stream: "a", outcome: "unavailable" }, { stream: "b", outcome: "unavailable" }));
    }
    read(tick({ stream: "a" }, { stream: "b" }));
    expect(printed).toEqual(["drain    events wait: Redis does not answer", "drain    the drain goes on"]);
  });

  test("a scheduler that can't call is told once, and the next drain ends it", () => {
    const { teller, read, printed } = telling();
    for (let ticks = 0; ticks < 3; ticks++)
      teller.read("scheduler", "POST /drain failed: fetch failed", "stderr");
    read(tick());
    expect(printed).toEqual([
      "drain    events wait: POST /drain failed: fetch failed",
      "drain    the drain goes on",
    ]);
  });

  test("a stream that another call drains for a moment is not told; one that stays held is", () => {
    const { read, printed } = telling();
    read(tick({ stream: "orders", outcome: "held" }));
    read(tick({ stream: "orders" }));
    for (let ticks = 0; ticks < 6; ticks++) read(tick({ stream: "orders", outcome: "held" }));
    expect(printed).toEqual([
      "drain    orders: events wait: it is paused, or another drain call has it (npx spillway status)",
    ]);
  });

  test("a pause is told with who and why, lasts through idle ticks, and ends once", () => {
    const { read, printed } = telling();
    read({ event: "stream.paused", stream: "orders", seconds: 60, by: "ann", why: "a migration" });
    read(tick({ stream: "orders" }));
    read(tick({ stream: "orders", outcome: "held" }));
    expect(printed).toEqual(["drain    orders: paused by ann: a migration"]);
    read({ event: "stream.resumed", stream: "orders" });
    read(tick({ stream: "orders" }));
    expect(printed.slice(1)).toEqual(["drain    orders: the drain goes on"]);
  });

  test("a stop after a pause ends with an idle tick, as any other", () => {
    const { read, printed } = telling();
    read({ event: "stream.paused", stream: "orders", seconds: 60 });
    read({ event: "stream.resumed", stream: "orders" });
    read({ event: "store.unavailable", severity: "WARNING", stream: "orders", reason: "no answer" });
    read(tick({ stream: "orders" }));
    expect(printed).toEqual([
      "drain    orders: paused",
      "drain    orders: the drain goes on",
      "drain    orders: events wait: no answer",
      "drain    orders: the drain goes on",
    ]);
  });

  test("a stream whose partitions are held in part is drained, so nothing waits", () => {
    const { read, printed } = telling();
    for (let ticks = 0; ticks < 5; ticks++)
      read(tick({ stream: "orders", outcome: "held", batches: 1, stored: 1 }));
    expect(printed).toEqual(Array(5).fill("drain    orders: 1 stored in 1 batch  (7 ms)"));
  });

  test("a stop for which no line gave a reason is told by its outcome", () => {
    const { read, printed } = telling();
    for (let ticks = 0; ticks < 3; ticks++) read(tick({ stream: "orders", outcome: "unavailable" }));
    expect(printed).toEqual(["drain    orders: events wait: the drain says unavailable"]);
  });

  test("a flush is told as one, and everything that became of events is in the line", () => {
    const { read, printed } = telling();
    const counts = { batches: 1, stored: 1, duplicates: 3, differing: 2, superseded: 4, held: 5, dead: 6 };
    read({ ...tick({ stream: "orders", ...counts }), flush: true });
    for (const one of ["superseded", "held", "dead"]) read(tick({ stream: "orders", batches: 1, [one]: 1 }));
    expect(printed).toEqual([
      "flush    orders: 1 stored in 1 batch, 3 there already (2 with other content), 4 superseded, 5 held, 6 to dead letters  (7 ms)",
      "drain    orders: 0 stored in 1 batch, 1 superseded  (7 ms)",
      "drain    orders: 0 stored in 1 batch, 1 held  (7 ms)",
      "drain    orders: 0 stored in 1 batch, 1 to dead letters  (7 ms)",
    ]);
  });
});

describe("the rest", () => {
  test("a warning that comes again at once is told once, and of many the first five", () => {
    const { read, printed } = telling();
    for (let again = 0; again < 3; again++)
      read({ severity: "WARNING", event: "keys.away", hasCopy: true, requestId: `r${again}`, time: "now" });
    for (let id = 0; id < 100; id++) read({ severity: "WARNING", event: "event.buried", id });
    expect(printed).toEqual([
      "warning  supervisor keys.away hasCopy=true",
      ...[0, 1, 2, 3, 4].map((id) => `warning  supervisor event.buried id=${id}`),
    ]);
  });

  test("an error is called one, and a stop of ingest's write-through stops no drain", () => {
    const { read, printed } = telling();
    read({ severity: "ERROR", event: "store.unavailable", stream: "orders", reason: "no answer" }, "ingest");
    read(tick({ stream: "orders" }));
    expect(printed).toEqual(["warning  ingest error: store.unavailable stream=orders reason=no answer"]);
  });

  test("of a change of streams the last line has the time, and those before are as tsc wrote them", () => {
    const { teller, printed } = telling();
    teller.sayStreams("a.ts(1,2): error\n  more\na.ts changed: type errors");
    expect(printed).toEqual(["a.ts(1,2): error", "  more", "streams  a.ts changed: type errors"]);
  });

  test("a table that differs is told with the next commands", () => {
    const { read, printed } = telling();
    read({
      severity: "WARNING",
      event: "table.differs",
      stream: "orders",
      differences: ["table orders is missing"],
    });
    expect(printed).toEqual([
      "streams  orders: table orders is missing; npm run db:generate makes the migration, npx spillway migrate applies it",
    ]);
  });

  test("what a function writes to standard error is told, and other lines are not", () => {
    const { teller, printed } = telling();
    teller.read("ingest", "Serving function...", "stdout");
    teller.read("ingest", "", "stderr");
    teller.read("ingest", "Uncaught exception", "stderr");
    teller.read("ingest", '{"severity":"INFO","event":"function.started"}', "stdout");
    expect(printed).toEqual(["ingest   Uncaught exception"]);
  });

  test.each([
    [{ isTTY: true }, {}, "\u001b[31mrefused\u001b[39m"],
    [{ isTTY: true }, { NO_COLOR: "1" }, "refused"],
    [{}, { FORCE_COLOR: "1" }, "refused"],
  ])("words have a colour on a terminal only: %j %j", (output, env, painted) => {
    expect(paintFor(output, env)("red", "refused")).toBe(painted);
  });
});
