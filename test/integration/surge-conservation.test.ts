/** The surge's conservation line: each accepted id is counted where it is, in Postgres, in dead letters or in the buffer, or as lost. */
import { randomUUID } from "node:crypto";
import { afterEach, beforeEach, expect, test } from "vitest";
import { Histogram } from "../../dev/load/histogram.ts";
import type { Load } from "../../dev/load/load.ts";
import { findAccepted } from "../../dev/surge/conservation.ts";
import { openPlace, type Place } from "../../dev/surge/place.ts";
import type { SurgeConserved, SurgeTarget } from "../../lib/contract/surge.ts";
import { workerServers } from "../worker-servers.ts";

let place: Place;
beforeEach(async () => {
  place = await openPlace(workerServers());
});
afterEach(() => place.close());

const idsOf = (count: number): string[] => Array.from({ length: count }, () => randomUUID());

async function store(table: "buffered" | "direct", ids: readonly string[]): Promise<void> {
  await place.sql.query(
    `insert into ${table} (id, received_at, user_id, lat, lng, recorded_at)
     select id, now(), 'a', 0, 0, now() from unnest($1::uuid[]) id`,
    [ids],
  );
}

const bury = (stream: string, ids: readonly string[]) =>
  place.sql.query(
    `insert into dead_letters (stream, id, envelope, reason, burials)
     select $1, id, '{}', 'by a test', 1 from unnest($2::uuid[]) id`,
    [stream, ids],
  );

async function buffer(key: string, ids: readonly string[]): Promise<void> {
  for (const id of ids) await place.redis.lpush(key, JSON.stringify({ id, data: {} }));
}

/** What is found of a load with these ids, and so many requests whose answers were never heard. */
function find(target: SurgeTarget, ids: string[], neverHeard = 0): Promise<SurgeConserved> {
  const offered = ids.length + neverHeard;
  const perSecond = [{ offered, answered: ids.length, errors: 0, p50Ms: 1, p99Ms: 1 }];
  const load: Load = {
    ...{ seconds: 1, requests: ids.length, events: ids.length, errors: 0, unanswered: neverHeard },
    ...{ statuses: {}, latencies: new Histogram(), ids, perSecond, cpuSeconds: 0 },
  };
  return findAccepted(place, target, target === "buffer" ? "buffered" : "direct", load);
}

test("an id is stored, dead or waiting, in whichever list and partition, and counts once, where it is safest", async () => {
  const [stored, dead, pending, sealed, claimed] = [idsOf(3), idsOf(2), idsOf(4), idsOf(1), idsOf(1)];
  await store("buffered", stored);
  await bury("buffered", dead);
  await bury("another", idsOf(1));
  await buffer("{spillway}:buffered:pending:0", [...pending, stored[0] ?? ""]);
  await buffer("{spillway}:buffered:sealed:7", [...sealed, dead[0] ?? ""]);
  await buffer("{spillway}:buffered:claimed:15", claimed);
  const accepted = [...stored, ...dead, ...pending, ...sealed, ...claimed];
  expect(await find("buffer", accepted)).toMatchObject({
    ...{ accepted: 11, stored: 3, dead: 2, waiting: 6, lost: 0, extra: 0, isKept: true },
    text: "11 accepted = 3 stored + 2 dead + 6 waiting.",
  });
});

test("an id that is nowhere is lost; the buffer is no place for what was inserted directly", async () => {
  const [stored, waiting] = [idsOf(2), idsOf(1)];
  await store("direct", stored);
  await buffer("{spillway}:direct:pending:0", waiting);
  expect(await find("direct", [...stored, ...waiting])).toMatchObject({
    ...{ accepted: 3, stored: 2, dead: 0, waiting: 0, lost: 1, extra: 0, isKept: false },
    text: "3 accepted = 2 stored + 0 dead + 0 waiting + 1 LOST.",
  });
});

test("more than was accepted may be there, but no more than was never heard of, and no id is answered twice", async () => {
  const [accepted, stored, waiting] = [idsOf(2), idsOf(1), idsOf(1)];
  await store("buffered", [...accepted, ...stored]);
  await buffer("{spillway}:buffered:pending:3", waiting);
  expect(await find("buffer", accepted, 2)).toMatchObject({ stored: 2, lost: 0, extra: 2, isKept: true });
  expect(await find("buffer", accepted, 1)).toMatchObject({
    ...{ extra: 2, isKept: false },
    text: "2 accepted = 2 stored + 0 dead + 0 waiting, but more was stored or answered than was asked for.",
  });
  const twice = [...accepted, accepted[0] ?? ""];
  expect(await find("buffer", twice, 2)).toMatchObject({ accepted: 2, lost: 0, isKept: false });
});
