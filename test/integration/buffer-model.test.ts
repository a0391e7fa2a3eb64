/**
 * The buffer's state machine under random interleavings of everything that may happen to it: pushes sent twice,
 * replies lost, half-written batches, crashes, expired leases, late duplicates of any command, batches too large for
 * the release that takes them up, suspicions, Redis restored from an older state, redrives, pauses. After every step each acknowledged id is in the table, in dead letters or in
 * the buffer; once the buffer is empty, in exactly one of the first two.
 *
 * Redis is real; the table and the dead letters are sets, because a primary key is one.
 */
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Batch, type ClaimReply, createBuffer } from "../../lib/buffer/buffer.ts";
import { createPauses } from "../../lib/buffer/pauses.ts";
import { connectRedis } from "../../lib/buffer/redis-client.ts";
import {
  claimedKey,
  claimKey,
  leaseKey,
  pausedKey,
  pendingKey,
  sealedKey,
} from "../../lib/buffer/redis-keys.ts";
import { openWorld, type World } from "./test-stack.ts";

const BATCH_MAX_BYTES = 24;
let world: World;
/** Two releases: one whose batches are small, and one that knows no bound in bytes. */
let bounded: World["buffer"];
let unbounded: World["buffer"];
let pauses: ReturnType<typeof createPauses>;
/** The clock of every caller, in milliseconds. */
let nowMs = 0;
beforeAll(async () => {
  world = await openWorld();
  const redis = connectRedis(world.config, 2000);
  pauses = createPauses(redis, () => nowMs);
  bounded = createBuffer(redis, () => nowMs, { claimMaxBytes: BATCH_MAX_BYTES });
  unbounded = createBuffer(redis, () => nowMs, { claimMaxBytes: 1e9 });
});
afterAll(() => world.close());

const P = { stream: "checked", index: 0 };
const LISTS = [pendingKey(P), sealedKey(P), claimedKey(P)];
const ALL_KEYS = [...LISTS, leaseKey(P), claimKey(P), pausedKey(P.stream)];
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
    return Array.from({ length: count }, () => {
      const n = this.#nextId++;
      return `id-${n}`.padEnd(4 + ((n * 7) % 29), "x"); // some are larger than a batch
    });
  }
  die(i: number): void {
    this.workers[i] = this.#born(i);
  }
}

const claimant = ({ token }: Worker, { fullBatchesOnly = false, isUnbounded = false }: Step) => ({
  token,
  leaseMs: 60_000,
  count: isUnbounded ? 6 : 4,
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

async function claim(model: Model, step: Step): Promise<void> {
  const worker = model.workers[step.worker ?? 0] as Worker;
  const { settled } = worker;
  const buffer = step.isUnbounded ? unbounded : bounded;
  const send = () => buffer.claim(P, claimant(worker, step), settled);
  model.sent.push(() => sendClaim(send));
  const reply = await sendClaim(send);
  if (reply.kind === "batch" && !step.isUnbounded) expectBounded(reply);
  if (reply.kind === "batch" && !reply.hasMore) expect(await buffered()).toEqual(new Set(reply.envelopes));
  if (!step.isReplyLost) receive(worker, reply);
}

/** While the stream is paused, a claim moves nothing into a hand, whoever sends it and however late. */
async function sendClaim(send: () => Promise<ClaimReply>): Promise<ClaimReply> {
  const isPaused = (await world.redis.exists(pausedKey(P.stream))) === 1;
  const before = await world.redis.lrange(claimedKey(P), 0, -1);
  const reply = await send();
  if (!isPaused) return reply;
  expect(["none", "paused"]).toContain(reply.kind);
  const after = await world.redis.lrange(claimedKey(P), 0, -1);
  expect(after).toEqual(before.slice(before.length - after.length));
  return reply;
}

function expectBounded({ envelopes }: Batch): void {
  expect(envelopes.length).toBeLessThanOrEqual(4);
  if (envelopes.length > 1) expect(envelopes.join("").length).toBeLessThanOrEqual(BATCH_MAX_BYTES);
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

async function handBack(model: Model, step: Step): Promise<void> {
  const { worker: i = 0, isSuspected = false, oneAtATime = false, afterMs = 0 } = step;
  const { token } = model.workers[i] as Worker;
  nowMs += afterMs;
  const send = () => bounded.handBack(P, token, { isSuspected, oneAtATime });
  model.sent.push(send);
  await send();
  if (!step.livesOn) model.die(i); // else it may still acknowledge, late, what it had stored
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
      isUnbounded: fc.boolean(),
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
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("die"), worker: fc.nat(WORKERS - 1) }) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant("handBack"),
      worker: fc.nat(WORKERS - 1),
      isSuspected: fc.boolean(),
      oneAtATime: fc.constantFrom(false, false, true),
      afterMs: fc.constantFrom(0, 59_999, 60_000),
      livesOn: fc.boolean(),
    }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("late"), nth: fc.nat() }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constantFrom("expire", "redrive") }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom("save", "rollBack") }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constantFrom("pause", "resume", "resume") }) },
);
type Step = Partial<{
  count: number;
  worker: number;
  fullBatchesOnly: boolean;
  isReplyLost: boolean;
  isUnbounded: boolean;
  isSuspected: boolean;
  oneAtATime: boolean;
  afterMs: number;
  livesOn: boolean;
  rows: number;
  nth: number;
}> & {
  kind: string;
};

const MOVES: Record<string, (model: Model, step: Step) => Promise<void> | void> = {
  push: (model, { count = 1 }) => push(model, model.newIds(count)),
  claim,
  commit: (model, { worker = 0, rows = 0 }) => commit(model, worker, rows),
  die: (model, { worker = 0 }) => model.die(worker),
  handBack,
  late: async (model, { nth = 0 }) => void (await model.sent[nth % Math.max(1, model.sent.length)]?.()),
  expire: async () => void (await world.redis.del(leaseKey(P))),
  save,
  rollBack,
  redrive,
  pause: async () => void (await pauses.pause(P.stream, { forMs: 3_600_000, by: undefined, why: undefined })),
  resume: async () => void (await pauses.resume(P.stream)),
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
  await pauses.resume(P.stream);
  model.die(0);
  for (let rounds = 0; rounds < 500; rounds++) {
    await claim(model, { kind: "claim" });
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
