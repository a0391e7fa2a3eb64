/**
 * What the benchmark has to show, each as a ratio or bound with both numbers. A check that fails is said, not
 * thrown: figures are for reading, and a busy machine is no bug.
 */
import type { Results } from "./results.ts";

export interface Check {
  what: string;
  /** Undefined: not measured in this run. */
  isMet: boolean | undefined;
  numbers: string;
}

type Place = [scenario: string, row: string, figure: string];

const number = (value: number | undefined): string =>
  value === undefined ? "–" : value >= 100 ? Math.round(value).toLocaleString("en") : value.toPrecision(3);

export function checkAll(results: Results, settings: { backlogs: readonly number[] }): Check[] {
  const at = ([scenario, row, figure]: Place) => results.median(scenario, row, figure);

  /** a ≥ factor × b, or a ≤ factor × b. */
  function ratio(what: string, a: Place, is: "≥" | "≤", factor: number, b: Place): Check {
    const [x, y] = [at(a), at(b)];
    if (x === undefined || y === undefined) return { what, isMet: undefined, numbers: "not measured" };
    const isMet = is === "≥" ? x >= factor * y : x <= factor * y;
    return {
      what,
      isMet,
      numbers: `${number(x)} to ${number(y)} = ${(x / y).toPrecision(3)} (${is} ${factor})`,
    };
  }

  function bound(what: string, a: Place, is: "≥" | "≤", limit: number): Check {
    const x = at(a);
    if (x === undefined) return { what, isMet: undefined, numbers: "not measured" };
    return {
      what,
      isMet: is === "≥" ? x >= limit : x <= limit,
      numbers: `${number(x)} (${is} ${number(limit)})`,
    };
  }

  const against = (
    what: string,
    other: string,
    figure: string,
    is: "≥" | "≤",
    factor: number,
    ours = "Spillway (HTTP)",
  ) =>
    (["gps", "webhooks"] as const).map((kind) =>
      ratio(`${what}, ${kind}`, ["alternatives", `${ours}, ${kind}`, figure], is, factor, [
        "alternatives",
        `${other}, ${kind}`,
        figure,
      ]),
    );

  const [least, most] = [Math.min(...settings.backlogs), Math.max(...settings.backlogs)];
  const others = ["naive buffer (HTTP)", "BullMQ (TCP)", "pg-boss (TCP)"];
  return [
    ...(["GPS", "webhooks"] as const).flatMap((kind) => [
      ratio(
        `single posts, ${kind}: requests/s against the empty function`,
        ["ingest", `Spillway paused, ${kind}`, "requestsPerSecond"],
        "≥",
        0.8,
        ["ingest", `empty function, ${kind}`, "requestsPerSecond"],
      ),
      ratio(
        `single posts, ${kind}: p99 against the empty function's`,
        ["ingest", `Spillway paused, ${kind}`, "p99Ms"],
        "≤",
        2,
        ["ingest", `empty function, ${kind}`, "p99Ms"],
      ),
    ]),
    ratio(
      "posts of 100 (GPS): events/s against single posts",
      ["ingest", "Spillway paused, 100 GPS a post", "eventsPerSecond"],
      "≥",
      8,
      ["ingest", "Spillway paused, GPS", "eventsPerSecond"],
    ),
    bound(
      "commands per event, pushing at 64 connections",
      ["ingest", "Spillway paused, GPS", "pushCommandsPerEvent"],
      "≤",
      0.05,
    ),
    ...settings.backlogs.map((count) =>
      bound(
        `commands per event, draining ${count}`,
        ["drain", `Spillway, ${count} gps`, "drainCommandsPerEvent"],
        "≤",
        0.12,
      ),
    ),
    ...["100 events/s", "1000 events/s", "3000 events/s, 10 a post"].map((name) =>
      bound(
        `commands per event, draining at a steady ${name}`,
        ["steady", name, "drainCommandsPerEvent"],
        "≤",
        0.25,
      ),
    ),
    ...["200 events/s", "1000 events/s", "3000 events/s, 10 a post"].map((name) =>
      bound(`rows in the average batch at ${name}`, ["steady", name, "rowsPerBatch"], "≥", 90),
    ),
    bound("commands of an idle month", ["steady", "idle", "idleCommandsPerMonth"], "≤", 50_000),
    bound("Postgres connections while idle", ["steady", "idle", "peakConnections"], "≤", 0),
    ratio(
      "draining against the bare client, GPS",
      ["drain", `Spillway, ${Math.min(100_000, most)} gps`, "storedPerSecond"],
      "≥",
      0.7,
      ["drain", "bare client over HTTP, gps", "storedPerSecond"],
    ),
    ratio(
      "draining against the bare client, webhooks",
      ["drain", "Spillway, 10000 webhooks", "storedPerSecond"],
      "≥",
      0.7,
      ["drain", "bare client over HTTP, webhooks", "storedPerSecond"],
    ),
    ...[`${Math.min(100_000, most)} gps`, "10000 webhooks"].map((backlog) =>
      ratio(
        `draining ${backlog} over TCP against over the bridges`,
        ["drain", `Spillway over TCP, ${backlog}`, "storedPerSecond"],
        "≥",
        1,
        ["drain", `Spillway, ${backlog}`, "storedPerSecond"],
      ),
    ),
    ratio(
      `draining ${most} against draining ${least}`,
      ["drain", `Spillway, ${most} gps`, "storedPerSecond"],
      "≥",
      0.9,
      ["drain", `Spillway, ${least} gps`, "storedPerSecond"],
    ),
    ratio(
      `memory, draining ${most} against draining ${least}`,
      ["drain", `Spillway, ${most} gps`, "peakMemoryMb"],
      "≤",
      1.5,
      ["drain", `Spillway, ${least} gps`, "peakMemoryMb"],
    ),
    ratio(
      "draining while ten look on, against nobody",
      ["looking-on", "ten look on", "storedPerSecond"],
      "≥",
      0.95,
      ["looking-on", "nobody looks on", "storedPerSecond"],
    ),
    ...[
      { who: "ten look on", commands: 1 },
      { who: "ten look on, on Cloud Run", commands: 0.2 },
    ].flatMap(({ who, commands }) => [
      bound(
        `Redis commands a second while nothing changes and ${who}`,
        ["looking-on", `nothing changes, ${who}`, "redisCommandsPerSecond"],
        "≤",
        commands,
      ),
      bound(
        `Postgres queries a second while nothing changes and ${who}`,
        ["looking-on", `nothing changes, ${who}`, "postgresQueriesPerSecond"],
        "≤",
        0,
      ),
    ]),
    ratio(
      "draining GPS while another stream's table is locked, against no other stream",
      ["trouble", "GPS, the other stream's table locked", "storedPerSecond"],
      "≥",
      0.8,
      ["trouble", "GPS, no other stream", "storedPerSecond"],
    ),
    bound(
      "milliseconds of a drain call of 1,000 rows, half of them refused, 20 ms from Postgres",
      ["trouble", "1,000 rows, half refused, 20 ms to Postgres", "drainMs"],
      "≤",
      1000,
    ),
    ...["new users", "500 users, each fix newer", "10 users, ten fixes of each in a batch"].map((load) =>
      ratio(
        `newest wins: time of a batch against DO NOTHING, ${load}`,
        ["upsert", `positions: ${load}`, "batchMs"],
        "≤",
        3,
        ["upsert", `locations: ${load}`, "batchMs"],
      ),
    ),
    bound(
      "milliseconds for which a refused body stalls the others, at most",
      ["hostile", "beside 200 that are refused, 80 at once", "stallMs"],
      "≤",
      50,
    ),
    bound(
      "unanswered good posts beside 200 of the worst bodies",
      ["hostile", "beside 200 that are refused, 80 at once", "errors"],
      "≤",
      0,
    ),
    bound(
      "MB that 8 MB of NDJSON cost ingest",
      ["hostile", "one body of 8 MB of NDJSON", "extraMemoryMb"],
      "≤",
      60,
    ),
    ratio(
      "p99 of a key beside one with 8 MB bodies at ten times its rate, against alone",
      ["noisy", "beside one with 8 MB bodies at ten times its rate", "p99Ms"],
      "≤",
      1.5,
      ["noisy", "a key alone", "p99Ms"],
    ),
    ...against("Postgres CPU against direct", "direct (TCP)", "postgresCpuPerMillion", "≤", 0.25),
    ...against("Postgres transactions against direct", "direct (TCP)", "transactionsPerMillion", "≤", 0.02),
    bound(
      "Postgres connections under the surge (8 draining + 2 writing through)",
      ["surge", "Spillway", "peakConnections"],
      "≤",
      10,
    ),
    ...others.flatMap((other) => [
      ...against(`ahead of ${other} in events/s accepted`, other, "eventsPerSecond", "≥", 1),
      ...against(`ahead of ${other} in events/s stored`, other, "storedPerSecond", "≥", 1),
    ]),
    ...["BullMQ (TCP)", "pg-boss (TCP)"].flatMap((other) =>
      (["eventsPerSecond", "storedPerSecond"] as const).flatMap((figure) =>
        against(`over TCP, ahead of ${other} in ${figure}`, other, figure, "≥", 1, "Spillway (TCP)"),
      ),
    ),
    {
      what: "conservation: accepted = stored + dead + buffered, by count and by distinct id",
      isMet: results.losses.length === 0,
      numbers: `${results.checksOfConservation - results.losses.length} of ${results.checksOfConservation} runs`,
    },
  ];
}

export const checkLine = ({ what, isMet, numbers }: Check): string =>
  `${isMet ? " pass" : " FAIL"}  ${what}: ${numbers}`;
