/**
 * Changes of keys at once, by several supervisors, while Redis loses requests and replies: whenever it is quiet, table and copy are
 * equal, and a key that was said to be refused is never in the copy again.
 */
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { renewCopy } from "../../lib/access/renew-copy.ts";
import { createKeyCopy } from "../../lib/buffer/key-copy.ts";
import { connectRedis } from "../../lib/buffer/redis-client.ts";
import { mendKeyCopy } from "../../lib/operate/mend-keys.ts";
import { compareCopy, digestOf, type KeyCommands, serveKeyCommands } from "./key-commands.ts";
import { openWorld, type World } from "./test-stack.ts";

let world: World;
let supervisors: KeyCommands[];
beforeAll(async () => {
  world = await openWorld();
  supervisors = await Promise.all([1, 2, 3].map(() => serveKeyCommands(world)));
});
beforeEach(() => world.reset());
afterAll(async () => {
  await Promise.all(supervisors.map((one) => one.close()));
  await world.close();
});

const pick = <T>(of: readonly T[]): T => of[Math.floor(Math.random() * of.length)] as T;
const mend = () => mendKeyCopy({ ...world.keyCommands, ...world, monotonicMs: performance.now });

/** The digests of all keys of a name. */
async function digestsOf(name: string): Promise<string[]> {
  const { rows } = await world.sql.query("select sha256 from api_keys where name = $1", [name]);
  return rows.map(({ sha256 }) => sha256);
}

/** One change, by any supervisor. Returns the digests that it says are refused from now on. */
async function changeAnything(): Promise<string[]> {
  const name = pick(["a", "b", "c", "d"]);
  const by = pick(supervisors);
  const kind = pick(["create", "create", "rotate", "revoke", "mend"]);
  if (kind === "mend") {
    await mend().catch(() => {});
    return [];
  }
  const before = kind === "revoke" ? await digestsOf(name) : [];
  const more = kind === "rotate" ? { overlap: pick(["0s", "7d"]) } : {};
  const { status, body } = await by.command({ action: kind, name, ...more });
  expect([200, 201, 404, 409]).toContain(status);
  return body.isRefused === true ? before : [];
}

/** Reads the copy until `until` resolves, and says what of `refused` it ever held. */
async function watchCopy(refused: ReadonlySet<string>, until: Promise<unknown>): Promise<string[]> {
  let isOver = false;
  void until.then(() => {
    isOver = true;
  });
  const seen: string[] = [];
  while (!isOver) {
    const known = [...refused];
    const found = await world.redis.hgetall("{spillway}:keys");
    seen.push(...known.filter((digest) => digest in found));
  }
  return seen;
}

test("table and copy are equal after changes at once, whatever Redis lost meanwhile", async () => {
  for (let round = 0; round < 30; round++) {
    const isBroken = round % 3 !== 0;
    if (isBroken)
      world.upstash.setFault(({ commands }) =>
        commands.some((command) => command.join().includes("}:keys")) && Math.random() < 0.3
          ? { kind: pick(["refuse", "cut-after", "cut-before"]) }
          : undefined,
      );
    const refused = new Set<string>();
    const changes = Promise.all(
      Array.from({ length: 6 }, async () => {
        for (let i = 0; i < 4; i++) for (const digest of await changeAnything()) refused.add(digest);
      }),
    );
    expect(await watchCopy(refused, changes)).toEqual([]);
    await changes;
    world.upstash.setFault(undefined);
    if (isBroken) await mend();
    const { generation, table, copy } = await compareCopy(world);
    expect({ round, copy }).toEqual({ round, copy: table });
    const { rows } = await world.sql.query("select max(version)::text as version from api_keys");
    expect(generation.split("@")[0]).toBe(rows[0].version);
    expect(copy.filter((digest) => refused.has(digest))).toEqual([]);
  }
});

test("whoever read the table before a revocation and writes after it does not bring the key back", async () => {
  const [supervisor] = supervisors as [KeyCommands];
  const key = await supervisor.create("app");
  // It has read the table, and is slow to write.
  let isReading = false;
  const slow = createKeyCopy(connectRedis(world.config, 5000));
  let reads = 0;
  const late = renewCopy({
    copy: slow,
    table: {
      readSet: async () => {
        const set = await world.keys.readSet();
        reads += 1;
        if (reads === 1) {
          isReading = true;
          await expect.poll(() => isReading, { timeout: 10_000 }).toBe(false);
        }
        return set;
      },
    },
  });
  await expect.poll(() => isReading).toBe(true);
  await supervisor.revoke("app");
  isReading = false;
  expect(await late).toMatchObject({ isCopied: true });
  expect(reads).toBe(2);
  const { copy } = await compareCopy(world);
  expect(copy).not.toContain(digestOf(key));
});
