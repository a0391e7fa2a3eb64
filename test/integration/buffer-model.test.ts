/**
 * The buffer's state machine under random interleavings of everything that may happen to it: pushes sent twice,
 * replies lost, half-written batches, crashes, expired leases, late duplicates of any command, Redis restored
 * from an older state, redrives. After every step each acknowledged id is in the table, in dead letters or in
 * the buffer; once the buffer is empty, in exactly one of the first two.
 *
 * Redis is real; the table and the dead letters are sets, because a primary key is one.
 */
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Batch, ClaimReply } from "../../lib/buffer/buffer.ts";
import { claimedKey, claimKey, leaseKey, pendingKey, sealedKey } from "../../lib/buffer/redis-keys.ts";
import { openWorld, type World } from "./test-stack.ts";

let world: World;
beforeAll(async () => {
  world = await openWorld();
});
afterAll(() => world.close());

const P = { stream: "checked", index: 0 };
const LISTS = [pendingKey(P), sealedKey(P), claimedKey(P)];
const ALL_KEYS = [...LISTS, leaseKey(P), claimKey(P)];
const WORKERS = 3;
const BURY_AFTER = 3;

interface Worker {
  token: string;
  batch: Batch | undefined;
  /** The name of the batch that it has stored whole, to be sent with its next claim. */
  settled: string;
}

/** What happened so far, and what must still be somewhere. */
class Model {
  readonly table = new Set<string>();
  readonly dead = new Set<string>();
  /** Acknowledged to a sender, and not excused by a rollback. */
  readonly accepted = new Set<string>();
  readonly workers: Worker[] = Array.from({ length: WORKERS }, (_, i) => this.#born(i));
  /** Every command that was sent, to be sent again late. */
  readonly sent: (() => Promise<unknown>)[] = [];
  snapshot: { dumps: (Buffer | null)[]; since: string[] } | undefined;
  #born(i: number): Worker {
    return { token: `worker${i}-${Math.random()}:1`, batch: undefined, settled: "" };
  }
  #nextId = 0;

  newIds(count: number): string[] {
    return Array.from({ length: count }, () => `id-${this.#nextId++}`);
  }
  die(i: number): void {
    this.workers[i] = this.#born(i);
  }
}

const claimant = ({ token }: Worker, fullBatchesOnly: boolean) => ({
  token,
  leaseMs: 60_000,
  count: 4,
  fullBatchesOnly,
  startedAtMs: 0,
});

async function push(model: Model, ids: string[]): Promise<void> {
  const send = () => world.buffer.push(P, ids);
  model.sent.push(send);
  await send();
  for (const id of ids) {
    model.accepted.add(id);
    model.snapshot?.since.push(id);
  }
}

async function claim(model: Model, i: number, fullBatchesOnly: boolean, isReplyLost: boolean): Promise<void> {
  const worker = model.workers[i] as Worker;
  const { settled } = worker;
  const send = () => world.buffer.claim(P, claimant(worker, fullBatchesOnly), settled);
  model.sent.push(send);
  const reply = await send();
  if (!isReplyLost) receive(worker, reply);
}

function receive(worker: Worker, reply: ClaimReply): void {
  worker.settled = "";
  worker.batch = reply.kind === "batch" ? reply : undefined;
}

/** Stores some rows of the batch in hand, or buries the one that was alone too often. */
function commit(model: Model, i: number, rows: number): void {
  const worker = model.workers[i] as Worker;
  const { batch } = worker;
  if (batch === undefined) return;
  const isBuried = batch.crashesAlone !== undefined && batch.crashesAlone >= BURY_AFTER;
  for (const id of batch.envelopes.slice(0, rows)) {
    if (!isBuried) model.table.add(id);
    else if (!model.table.has(id)) model.dead.add(id);
  }
  if (rows >= batch.envelopes.length) worker.settled = batch.name;
}

async function handBack(model: Model, i: number): Promise<void> {
  const worker = model.workers[i] as Worker;
  const send = () => world.buffer.handBack(P, worker.token);
  model.sent.push(send);
  await send();
  model.die(i);
}

async function save(model: Model): Promise<void> {
  model.snapshot = {
    dumps: await Promise.all(ALL_KEYS.map((key) => world.redis.dumpBuffer(key))),
    since: [],
  };
}

/** Redis comes back as it was: what was acknowledged since may be missing, nothing else. */
async function rollBack(model: Model): Promise<void> {
  if (model.snapshot === undefined) return;
  await world.redis.del(...ALL_KEYS);
  for (const [i, dump] of model.snapshot.dumps.entries())
    if (dump) await world.redis.restore(ALL_KEYS[i] as string, 0, dump);
  for (const id of model.snapshot.since) if (!model.table.has(id)) model.accepted.delete(id);
  model.snapshot.since = [];
}

async function redrive(model: Model): Promise<void> {
  const [id] = model.dead;
  if (id === undefined) return;
  await push(model, [id]);
  model.dead.delete(id);
}

const step = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("push"), count: fc.integer({ min: 1, max: 6 }) }) },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant("claim"),
      worker: fc.nat(WORKERS - 1),
      fullBatchesOnly: fc.boolean(),
      isReplyLost: fc.boolean(),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant("commit"),
      worker: fc.nat(WORKERS - 1),
      rows: fc.integer({ min: 0, max: 6 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constantFrom("die", "handBack"), worker: fc.nat(WORKERS - 1) }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("late"), nth: fc.nat() }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constantFrom("expire", "redrive") }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom("save", "rollBack") }) },
);
type Step = Partial<{
  count: number;
  worker: number;
  fullBatchesOnly: boolean;
  isReplyLost: boolean;
  rows: number;
  nth: number;
}> & {
  kind: string;
};

const MOVES: Record<string, (model: Model, step: Step) => Promise<void> | void> = {
  push: (model, { count = 1 }) => push(model, model.newIds(count)),
  claim: (model, { worker = 0, fullBatchesOnly = false, isReplyLost = false }) =>
    claim(model, worker, fullBatchesOnly, isReplyLost),
  commit: (model, { worker = 0, rows = 0 }) => commit(model, worker, rows),
  die: (model, { worker = 0 }) => model.die(worker),
  handBack: (model, { worker = 0 }) => handBack(model, worker),
  late: async (model, { nth = 0 }) => void (await model.sent[nth % Math.max(1, model.sent.length)]?.()),
  expire: async () => void (await world.redis.del(leaseKey(P))),
  save,
  rollBack,
  redrive,
};

const buffered = async () =>
  new Set((await Promise.all(LISTS.map((list) => world.redis.lrange(list, 0, -1)))).flat());

async function expectNothingLost(model: Model, after: string): Promise<void> {
  const inBuffer = await buffered();
  const lost = [...model.accepted].filter(
    (id) => !model.table.has(id) && !model.dead.has(id) && !inBuffer.has(id),
  );
  expect(lost, `lost after ${after}`).toEqual([]);
}

/** Drains what is left, as one supervisor that nothing disturbs. */
async function drainAll(model: Model): Promise<void> {
  await world.redis.del(leaseKey(P));
  model.die(0);
  for (let rounds = 0; rounds < 500; rounds++) {
    await claim(model, 0, false, false);
    if (model.workers[0]?.batch === undefined) return;
    commit(model, 0, Number.POSITIVE_INFINITY);
  }
  throw new Error("expected the buffer to be empty after 500 claims");
}

test("whatever happens in whatever order, no acknowledged event is lost and none is twice", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 60 }), async (steps) => {
      await world.redis.flushdb();
      const model = new Model();
      for (const [i, one] of steps.entries()) {
        await MOVES[one.kind]?.(model, one);
        await expectNothingLost(model, `step ${i}: ${one.kind}`);
      }
      await drainAll(model);
      expect([...(await buffered())]).toEqual([]);
      await expectNothingLost(model, "the last drain");
      for (const id of model.dead) if (model.table.has(id)) model.dead.delete(id); // a stored event wins
      expect(model.table.size + model.dead.size).toBeGreaterThanOrEqual(model.accepted.size);
    }),
    { numRuns: Number(process.env.MODEL_RUNS ?? 250) },
  );
}, 300_000);
