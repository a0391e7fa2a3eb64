/**
 * An event that breaks the connection to Postgres, and with it restarts the whole server: it is suspected, tried last, and alone,
 * at most three times. The others are stored, and an outage blames nobody.
 *
 * The clock of the buffer is turned: suspicions count at least a minute apart.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { createBuffer } from "../../lib/buffer/buffer.ts";
import { connectRedis } from "../../lib/buffer/redis-client.ts";
import { drain } from "../../lib/drain/drain.ts";
import { FairSlots } from "../../lib/flow/fair-slots.ts";
import {
  envelopeOf,
  expectConserved,
  isInsert,
  letPausesEnd,
  openWorld,
  type World,
  whereabouts,
} from "./test-stack.ts";

let world: World;
let clockMs = Date.now();
beforeAll(async () => {
  world = await openWorld();
});
beforeEach(() => world.reset());
afterAll(() => world.close());

const NOTE = "kills its backend";
/** A backend that ends itself, as one does that crashes; its client sees the connection break. */
const KILL = `if new.note = '${NOTE}' then perform pg_terminate_backend(pg_backend_pid()); perform pg_sleep(5); end if;`;

async function withKiller(work: () => Promise<void>): Promise<void> {
  await world.sql.query(
    `create function killer() returns trigger language plpgsql as $$ begin ${KILL} return new; end $$;
     create trigger killer before insert on checked for each row execute function killer()`,
  );
  try {
    await work();
  } finally {
    await world.sql.query("drop trigger killer on checked; drop function killer()");
  }
}

async function push(index: number, count: number, killers = 0): Promise<string[]> {
  const made = [
    ...Array.from({ length: count }, (_, i) => envelopeOf({ n: i + 1 })),
    ...Array.from({ length: killers }, () => envelopeOf({ n: 1, note: NOTE })),
  ];
  await world.buffer.push(
    { stream: "checked", index },
    made.map(({ envelope }) => envelope),
  );
  return made.map(({ id }) => id);
}

/** A supervisor whose buffer's clock goes on by a minute with every tick. */
function supervisorOf(world: World) {
  const buffer = createBuffer(connectRedis(world.config, 2000), () => clockMs);
  const deps = world.supervisor({ buffer, slots: new FairSlots(1) }); // one insert after the other, in their order
  return async () => {
    clockMs += 61_000;
    await letPausesEnd(world);
    return (await drain(deps, {})).streams.find(({ stream }) => stream === "checked");
  };
}

describe("a row that breaks the connection", () => {
  test("the others are stored, it is held, and dead after three tries alone; nobody else is blamed", async () => {
    const tick = supervisorOf(world);
    await withKiller(async () => {
      const ids = await push(0, 30, 1);
      const killer = ids[30]!;
      const others = await push(1, 50);
      await tick();
      expect((await whereabouts(world, "checked")).stored).toEqual(expect.arrayContaining(others));
      for (let calls = 0; calls < 4; calls++) await tick();
      const { stored, held, buffered } = await whereabouts(world, "checked");
      expect([stored.length, held, buffered]).toEqual([80, [killer], []]);
      expect((await world.sql.query("select reason, tries from dead_letters")).rows).toEqual([
        { reason: "its insert breaks the connection to Postgres", tries: expect.any(Number) },
      ]);
      for (let calls = 0; calls < 4; calls++) await tick();
      expect((await whereabouts(world, "checked")).dead).toEqual([killer]);
      await expectConserved(world, "checked", [...ids, ...others]);
    });
  });

  test("in every tick the events of other partitions and streams are stored first", async () => {
    const tick = supervisorOf(world);
    await withKiller(async () => {
      const ids = await push(0, 5, 1);
      let inserts: string[] = [];
      world.neon.setFault(({ queries }) => {
        const insert = queries.find(({ query }) => isInsert(query));
        if (insert?.params.some((one) => one !== "[]"))
          inserts.push(insert.params.some((one) => String(one).includes(NOTE)) ? "killer" : "good");
        return undefined;
      });
      for (let calls = 0; calls < 6; calls++) {
        inserts = [];
        const more = await push(3, 20);
        const other = envelopeOf({ type: "t", payload: calls });
        await world.buffer.push({ stream: "events", index: 0 }, [other.envelope]);
        await tick();
        expect((await whereabouts(world, "checked")).stored).toEqual(expect.arrayContaining(more));
        expect((await whereabouts(world, "events")).stored).toContain(other.id);
        if (calls > 0) expect(inserts.slice(0, 2)).toEqual(["good", "good"]);
        ids.push(...more);
      }
      await expectConserved(world, "checked", ids);
    });
  });

  test("a held letter that begins to break the connection is found among its page", async () => {
    const tick = supervisorOf(world);
    const killers = await push(0, 0, 2);
    await world.sql.query("alter table checked add constraint never check (n > 1000)");
    const good = await push(0, 3);
    await tick();
    expect((await whereabouts(world, "checked")).held).toHaveLength(5);
    await world.sql.query("alter table checked drop constraint never");
    await world.sql.query("update dead_letters set tries = 9"); // refusals are no broken connections
    await withKiller(async () => {
      for (let calls = 0; calls < 16; calls++) await tick();
      const { stored, dead } = await whereabouts(world, "checked");
      expect([stored.sort(), dead.sort()]).toEqual([good.sort(), killers.sort()]);
      await expectConserved(world, "checked", [...good, ...killers]);
    });
  });
});

describe("an outage is no suspicion", () => {
  test.each(["refuse", "cut-before", "cut-after", "status-500"] as const)(
    "%s for hours, by turns: every event is stored, none is held or dead",
    async (kind) => {
      const tick = supervisorOf(world);
      const ids = [...(await push(0, 30)), ...(await push(1, 30))];
      for (let calls = 0; calls < 8; calls++) {
        world.neon.setFault(() => ({ kind }));
        await tick();
      }
      world.neon.setFault(undefined);
      for (let calls = 0; calls < 2; calls++) await tick();
      const { stored, buffered } = await whereabouts(world, "checked");
      expect([stored.length, buffered]).toEqual([60, []]);
      expect(world.said.map(({ event }) => event)).not.toContain("event.held");
      await expectConserved(world, "checked", ids);
    },
  );

  test("429 asks for patience, and suspects nobody", async () => {
    const ids = await push(0, 5);
    world.neon.setFault(({ queries }) =>
      queries.some(({ query }) => isInsert(query)) ? { kind: "status-429" } : undefined,
    );
    await drain(world.supervisor(), {});
    world.neon.setFault(undefined);
    expect(await world.redis.hget("{spillway}:checked:claim:0", "suspicions")).toBeNull();
    await drain(world.supervisor(), {});
    await expectConserved(world, "checked", ids);
  });
});
