/** The recipe that erases one person's events, as docs/operations.md has it: nothing of the person remains, and everybody else's stays. */
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createSupervisor } from "../../functions/supervisor.ts";
import { drain } from "../../lib/drain/drain.ts";
import { envelopeOf, expectConserved, openWorld, type World, whereabouts } from "./test-stack.ts";

let world: World;
beforeAll(async () => {
  world = await openWorld();
  await world.reset();
});
afterAll(() => world.close());

const page = readFileSync(new URL("../../docs/operations.md", import.meta.url), "utf8");
const section = /^## Erasing one person's data\n([\s\S]*?)^#/m.exec(page)?.[1] ?? "";
/** The section's SQL, for the stream `events` and this person. */
const [erase = "", find = ""] = [...section.matchAll(/```sql\n([\s\S]*?)```/g)].map((match) =>
  (match[1] ?? "").replaceAll("STREAM", "events").replaceAll("'42'", "'jane-42'"),
);

const JANE = "jane-42";
let count = 0;
/** A large payload is packed in Redis, so that her name can't be found there by its text. */
const ofPerson = (userId: string, isLarge = false) =>
  envelopeOf({ type: "t", userId, payload: { n: count++, text: isLarge ? userId.repeat(1000) : "" } });

type Made = ReturnType<typeof ofPerson>;

async function insertLetter({ id, envelope }: Made, { isHeld = false, isRedriven = false } = {}) {
  await world.sql.query(
    `insert into dead_letters (stream, id, envelope, reason, burials, tries, received_at, retry_at, redriven_at)
     values ('events', $1, $2, 'because', 1, 1, now(), $3, $4)`,
    [id, envelope, isHeld ? new Date(Date.now() + 3_600_000) : null, isRedriven ? new Date() : null],
  );
}

async function insertRow({ id }: Made, userId: string) {
  await world.sql.query(
    "insert into events (id, received_at, type, user_id, payload) values ($1, now(), 't', $2, '1')",
    [id, userId],
  );
}

/** Whether this text is anywhere in Redis or in a table. */
async function isAnywhere(text: string): Promise<boolean> {
  const lists = await Promise.all(
    (await world.redis.keys("*:pending:*"))
      .concat(await world.redis.keys("*:claimed:*"))
      .map((key) => world.redis.lrange(key, 0, -1)),
  );
  if (lists.flat().join().includes(text)) return true;
  const { rows } = await world.sql.query(
    "select row_to_json(e)::text as t from events e union all select row_to_json(d)::text from dead_letters d",
  );
  return rows.some(({ t }: { t: string }) => t.includes(text));
}

test("the recipe erases a person wherever an event can be, and touches nobody else's", async () => {
  expect([erase, find].every((sql) => sql.includes(JANE))).toBe(true);
  const kept: Made[] = [];
  const hers: Made[] = [];
  // A batch in hand of a drain call that died, one that is sealed, and what came since: each with hers among others'.
  const mixed = () => {
    const made = [
      ofPerson(JANE),
      ofPerson("joe"),
      ofPerson(JANE, true),
      ofPerson("jane-421"),
      ofPerson("joe", true),
    ];
    hers.push(...made.filter((_, i) => i === 0 || i === 2));
    kept.push(...made.filter((_, i) => i !== 0 && i !== 2));
    return made.map(({ packed }) => packed);
  };
  const partition = { stream: "events", index: 3 };
  await world.buffer.push(partition, [...mixed(), ...mixed()]);
  const dead = { token: "dead:1", leaseMs: 50, count: 5, fullBatchesOnly: false, startedAtMs: Date.now() };
  expect(await world.buffer.claim(partition, dead)).toMatchObject({ kind: "batch" });
  await world.buffer.push(partition, mixed());
  for (const [person, list] of [
    [JANE, hers],
    ["joe", kept],
  ] as const) {
    const [stored, buried, held, redriven] = [
      ofPerson(person),
      ofPerson(person),
      ofPerson(person),
      ofPerson(person),
    ];
    await insertRow(stored, person);
    await insertLetter(buried);
    await insertLetter(held, { isHeld: true });
    await insertLetter(redriven, { isRedriven: true });
    await insertRow(redriven, person);
    list.push(stored, buried, held, redriven);
  }
  expect(await isAnywhere(`"${JANE}"`)).toBe(true);

  await drain(world.supervisor(), { stream: "events", wait: true });
  const { url, close } = await world.serve(createSupervisor(world.supervisor()));
  const status = (await (await fetch(`${url}/status`)).json()) as {
    streams: { stream: string; oldestAgeSeconds: number | null }[];
  };
  expect(status.streams.find(({ stream }) => stream === "events")?.oldestAgeSeconds).toBeNull();
  await close();
  await world.sql.query(erase);
  // A tick that had one of her letters in hand stores it meanwhile.
  const late = ofPerson(JANE);
  await insertRow(late, JANE);
  await world.sql.query(erase);

  expect(await isAnywhere(`"${JANE}"`)).toBe(false);
  const { rows } = await world.sql.query(find);
  expect(rows).toEqual([]);
  await expectConserved(
    world,
    "events",
    kept.map(({ id }) => id),
  );
  const { stored, dead: letters, held, buffered } = await whereabouts(world, "events");
  const all = new Set([...stored, ...letters, ...held, ...buffered]);
  expect([...hers, late].filter(({ id }) => all.has(id))).toEqual([]);
});

test("the search finds a letter that holds the person in another form", async () => {
  const id = "0198f3a0-0000-7000-8000-000000000001";
  await world.sql.query(
    "insert into dead_letters (stream, id, envelope, reason, burials) values ('events', $1, $2, 'because', 1)",
    [id, `no envelope, but about ${JANE}`],
  );
  await world.sql.query(erase); // and it does not fail on a text that is not JSON
  expect((await world.sql.query(find)).rows).toMatchObject([{ stream: "events", id }]);
});
