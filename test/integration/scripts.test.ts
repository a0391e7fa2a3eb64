/**
 * Each script against the whole state of Redis before and after, case by case. Rows are single letters; a list
 * is written newest first, as Redis holds it, but `claimed` oldest first, as it is claimed.
 */
import { createHash } from "node:crypto";
import { Redis } from "ioredis";
import { afterAll, beforeEach, describe, expect, test } from "vitest";
import { readScript } from "../../lib/buffer/lua-scripts.ts";
import { encodeEnvelope } from "../../lib/schema/envelope.ts";
import { workerServers } from "../worker-servers.ts";

const redis = new Redis(workerServers().redisUrl);
beforeEach(async () => void (await redis.flushdb()));
afterAll(async () => void (await redis.quit()));

interface State {
  pending?: string[];
  sealed?: string[];
  claimed?: string[];
  lease?: string;
  claim?: Record<string, string>;
  paused?: string;
}
const KEYS = ["pending", "sealed", "claimed", "lease", "claim", "paused"];

const nameOf = (...envelopes: string[]) => {
  const heads = envelopes.map((envelope) => `${envelope.length}:${envelope.slice(0, 128)}`);
  return createHash("sha1").update(heads.join("\n")).digest("hex");
};

async function put(state: State): Promise<void> {
  for (const list of ["pending", "sealed", "claimed"] as const)
    if (state[list]) await redis.rpush(list, ...state[list]);
  if (state.lease) await redis.set("lease", state.lease, "PX", 10_000);
  if (state.claim) await redis.hset("claim", state.claim);
  if (state.paused) await redis.set("paused", state.paused, "PX", 10_000);
}

/** The whole state, but for what the clock decides. */
async function get(): Promise<State> {
  const state: State = {};
  for (const list of ["pending", "sealed", "claimed"] as const) {
    const envelopes = await redis.lrange(list, 0, -1);
    if (envelopes.length > 0) state[list] = envelopes;
  }
  const lease = await redis.get("lease");
  if (lease !== null) state.lease = lease;
  const paused = await redis.get("paused");
  if (paused !== null) state.paused = paused;
  const { heldSinceMs: _held, firstMs: _first, ...claim } = await redis.hgetall("claim");
  if (Object.keys(claim).length > 0) state.claim = claim;
  expect(await redis.dbsize()).toBe(Object.keys(state).length); // nothing else was written
  return state;
}

interface ClaimOptions {
  token?: string;
  settled?: string;
  count?: number;
  fullBatchesOnly?: boolean;
  maxBytes?: number;
}
const claim = ({
  token = "me:1",
  settled = "",
  count = 3,
  fullBatchesOnly = false,
  maxBytes = 1000_000,
}: ClaimOptions = {}) =>
  redis.eval(
    readScript("claim"),
    KEYS.length,
    ...KEYS,
    ...[token, settled, 10_000, count, fullBatchesOnly ? "1" : "0", 1, 2, maxBytes],
  ) as Promise<unknown[]>;

/** A claim's reply. More is left of a batch that was in hand already; a new one says it, or is full. */
const batch = (
  envelopes: string[],
  {
    fresh = 1,
    crashes = 0,
    crashesAlone = -1,
    suspicions = 0,
    more = 0,
  }: Partial<Record<"fresh" | "crashes" | "crashesAlone" | "suspicions" | "more", number>> = {
    more: envelopes.length < 3 ? 0 : 1,
  },
) => [
  "batch",
  nameOf(...envelopes),
  ...[fresh, fresh === 0 ? 1 : more, crashes, crashesAlone, suspicions],
  ...envelopes,
];
/** The envelopes of a claim's reply. */
const envelopesOf = (reply: unknown[]) => reply.slice(7);
const inHand = (envelopes: string[], token = "me:1", more: Record<string, string> = {}) => ({
  name: nameOf(...envelopes),
  token,
  outcome: "",
  crashes: "0",
  ...more,
});

const without = (field: string, { [field]: _, ...claim }: Record<string, string>) => claim;

/** The scripts' arrows: what is there, what is asked, what comes back, what is there then. */
const CASES: [string, State, ClaimOptions, unknown[] | ((reply: unknown[]) => void), State][] = [
  ["nothing there", {}, {}, ["none", 0], {}],
  ["nothing there, and the caller held the lease", { lease: "me:1" }, {}, ["none", 0], {}],
  ["nothing there, and another holds the lease", { lease: "you:1" }, {}, ["none", 0], { lease: "you:1" }],
  [
    "less than a batch: a tick takes it, oldest first",
    { pending: ["b", "a"] },
    {},
    batch(["a", "b"]),
    { claimed: ["a", "b"], lease: "me:1", claim: inHand(["a", "b"]) },
  ],
  [
    "a seal takes everything pending; the batch is its newest",
    { pending: ["e", "d", "c", "b", "a"] },
    {},
    batch(["c", "d", "e"]),
    { sealed: ["b", "a"], claimed: ["c", "d", "e"], lease: "me:1", claim: inHand(["c", "d", "e"]) },
  ],
  [
    "what is sealed goes before anything newer",
    { pending: ["z", "y"], sealed: ["d", "c", "b", "a"] },
    {},
    batch(["b", "c", "d"]),
    {
      pending: ["z", "y"],
      sealed: ["a"],
      claimed: ["b", "c", "d"],
      lease: "me:1",
      claim: inHand(["b", "c", "d"]),
    },
  ],
  [
    "a sealed list that runs short is topped up from the next seal",
    { pending: ["z", "y", "x"], sealed: ["a"] },
    {},
    batch(["a", "y", "z"]),
    { sealed: ["x"], claimed: ["a", "y", "z"], lease: "me:1", claim: inHand(["a", "y", "z"]) },
  ],
  [
    "an eager flush leaves too little for a full batch where it is, and gives the lease up",
    { pending: ["y"], sealed: ["a"], lease: "me:1" },
    { fullBatchesOnly: true },
    ["none", 2],
    { pending: ["y"], sealed: ["a"] },
  ],
  [
    "an eager flush takes a full batch that is half sealed",
    { pending: ["z", "y"], sealed: ["a"] },
    { fullBatchesOnly: true },
    batch(["a", "y", "z"]),
    { claimed: ["a", "y", "z"], lease: "me:1", claim: inHand(["a", "y", "z"]) },
  ],
  [
    "an acknowledgement deletes the batch in hand, and the next is claimed",
    { pending: ["c"], claimed: ["a", "b"], lease: "me:1", claim: inHand(["a", "b"]) },
    { settled: nameOf("a", "b") },
    batch(["c"]),
    { claimed: ["c"], lease: "me:1", claim: inHand(["c"]) },
  ],
  [
    "the last acknowledgement leaves nothing behind",
    { claimed: ["a", "b"], lease: "me:1", claim: inHand(["a", "b"]) },
    { settled: nameOf("a", "b") },
    ["none", 0],
    {},
  ],
  [
    "count 0 acknowledges and gives the lease up, claiming nothing",
    { pending: ["c"], claimed: ["a"], lease: "me:1", claim: inHand(["a"]) },
    { settled: nameOf("a"), count: 0 },
    ["none", -1],
    { pending: ["c"] },
  ],
  [
    "an acknowledgement sent twice is harmless: the batch in hand by then has another name",
    { claimed: ["c"], lease: "me:1", claim: inHand(["c"]) },
    { settled: nameOf("a", "b") },
    batch(["c"], { fresh: 0 }),
    { claimed: ["c"], lease: "me:1", claim: inHand(["c"]) },
  ],
  [
    "an acknowledgement from before Redis came back older deletes nothing that was not stored",
    { pending: ["c", "b"], claimed: ["a"], lease: "me:1", claim: inHand(["a"]) },
    { settled: nameOf("b", "c") },
    batch(["a"], { fresh: 0 }),
    { pending: ["c", "b"], claimed: ["a"], lease: "me:1", claim: inHand(["a"]) },
  ],
  [
    "an acknowledgement that comes late, from a holder that lost its lease, still counts: it names what was stored",
    { claimed: ["a"], lease: "you:1", claim: inHand(["a"], "you:1") },
    { settled: nameOf("a") },
    (reply) => expect(reply[0]).toBe("held"),
    { lease: "you:1" },
  ],
  [
    "a claim whose reply was lost comes back as it was",
    { pending: ["c"], claimed: ["a", "b"], lease: "me:1", claim: inHand(["a", "b"]) },
    {},
    batch(["a", "b"], { fresh: 0 }),
    { pending: ["c"], claimed: ["a", "b"], lease: "me:1", claim: inHand(["a", "b"]) },
  ],
  [
    "while another holds the lease nothing moves",
    { pending: ["c"], claimed: ["a"], lease: "you:1", claim: inHand(["a"], "you:1") },
    {},
    (reply) => {
      expect(reply[0]).toBe("held");
      expect(reply[1]).toBeGreaterThan(0);
    },
    { pending: ["c"], claimed: ["a"], lease: "you:1", claim: inHand(["a"], "you:1") },
  ],
  [
    "the holder died: the same batch, one crash more",
    { pending: ["c"], claimed: ["a"], claim: inHand(["a"], "you:1") },
    {},
    batch(["a"], { fresh: 0, crashes: 1 }),
    { pending: ["c"], claimed: ["a"], lease: "me:1", claim: inHand(["a"], "me:1", { crashes: "1" }) },
  ],
  [
    "a batch that was handed back is no crash",
    { claimed: ["a"], claim: inHand(["a"], "you:1", { outcome: "returned", crashes: "2" }) },
    {},
    batch(["a"], { fresh: 0, crashes: 2 }),
    { claimed: ["a"], lease: "me:1", claim: inHand(["a"], "me:1", { crashes: "2" }) },
  ],
  [
    "a batch that an earlier call of the same living process let go of is no crash",
    { claimed: ["a"], claim: inHand(["a"], "me:0") },
    {},
    batch(["a"], { fresh: 0 }),
    { claimed: ["a"], lease: "me:1", claim: inHand(["a"]) },
  ],
  [
    "after three crashes envelopes are handed out one at a time",
    { claimed: ["a", "b"], claim: inHand(["a", "b"], "you:1", { crashes: "2" }) },
    {},
    batch(["a"], { fresh: 0, crashes: 3, crashesAlone: 0 }),
    {
      claimed: ["a", "b"],
      lease: "me:1",
      claim: inHand(["a"], "me:1", { crashes: "3", oneAtATime: "1" }),
    },
  ],
  [
    "a envelope that was stored alone leaves, and the next is handed out",
    { claimed: ["a", "b"], lease: "me:1", claim: inHand(["a"], "me:1", { crashes: "3", oneAtATime: "1" }) },
    { settled: nameOf("a") },
    batch(["b"], { fresh: 0, crashes: 3, crashesAlone: 0 }),
    { claimed: ["b"], lease: "me:1", claim: inHand(["b"], "me:1", { crashes: "3", oneAtATime: "1" }) },
  ],
  [
    "a envelope that killed its drain call alone goes behind the others",
    { claimed: ["a", "b"], claim: inHand(["a"], "you:1", { crashes: "3", oneAtATime: "1" }) },
    {},
    batch(["b"], { fresh: 0, crashes: 4, crashesAlone: 0 }),
    {
      claimed: ["b", "a"],
      lease: "me:1",
      claim: inHand(["b"], "me:1", { crashes: "4", oneAtATime: "1", [`crashes:${nameOf("a")}`]: "1" }),
    },
  ],
  [
    "its crashes alone are told, so that the caller can bury it",
    {
      claimed: ["a"],
      claim: inHand(["a"], "you:1", { crashes: "5", oneAtATime: "1", [`crashes:${nameOf("a")}`]: "2" }),
    },
    {},
    batch(["a"], { fresh: 0, crashes: 6, crashesAlone: 3 }),
    {
      claimed: ["a"],
      lease: "me:1",
      claim: inHand(["a"], "me:1", { crashes: "6", oneAtATime: "1", [`crashes:${nameOf("a")}`]: "3" }),
    },
  ],
  [
    "an envelope that was settled after all clears every envelope of the crashes it was there for",
    {
      claimed: ["a", "b"],
      lease: "me:1",
      claim: inHand(["a"], "me:1", {
        crashes: "5",
        oneAtATime: "1",
        [`crashes:${nameOf("a")}`]: "1",
        [`crashes:${nameOf("b")}`]: "2",
      }),
    },
    { settled: nameOf("a") },
    batch(["b"], { fresh: 0, crashes: 5, crashesAlone: 0 }),
    { claimed: ["b"], lease: "me:1", claim: inHand(["b"], "me:1", { crashes: "5", oneAtATime: "1" }) },
  ],
  [
    "the last envelope alone takes all that was known with it",
    {
      pending: ["z"],
      claimed: ["a"],
      lease: "me:1",
      claim: inHand(["a"], "me:1", { crashes: "4", oneAtATime: "1", [`crashes:${nameOf("a")}`]: "3" }),
    },
    { settled: nameOf("a") },
    batch(["z"]),
    { claimed: ["z"], lease: "me:1", claim: inHand(["z"]) },
  ],
  [
    "what is known of a batch that somebody deleted by hand is forgotten",
    { pending: ["a"], claim: inHand(["x"], "you:1", { crashes: "5", oneAtATime: "1" }) },
    {},
    batch(["a"]),
    { claimed: ["a"], lease: "me:1", claim: inHand(["a"]) },
  ],
];

CASES.push([
  "they are handed out where nothing else is there, too",
  { claimed: ["a", "b"] },
  {},
  batch(["a", "b"]),
  { claimed: ["a", "b"], lease: "me:1", claim: inHand(["a", "b"]) },
]);
CASES.push([
  "envelopes in hand whose claim somebody deleted by hand are handed out with the next batch",
  { pending: ["c"], claimed: ["a", "b"] },
  {},
  batch(["a", "b", "c"], { more: 0 }),
  { claimed: ["a", "b", "c"], lease: "me:1", claim: inHand(["a", "b", "c"]) },
]);

const inHandOf = (envelopes: string[], more: Record<string, string> = {}) => ({
  claimed: envelopes,
  lease: "me:1",
  claim: inHand(envelopes, "me:1", more),
});
/** Bounds in bytes: each envelope is as large as its text. */
const BOUNDED: typeof CASES = [
  [
    "what is too large together goes back where it came from, the oldest of it last",
    { pending: ["z"], sealed: ["ee", "dd", "cc", "bb", "aa"] },
    { count: 4, maxBytes: 5 },
    batch(["dd", "ee"], { more: 1 }),
    { pending: ["z"], sealed: ["cc", "bb", "aa"], ...inHandOf(["dd", "ee"]) },
  ],
  [
    "and comes next",
    { pending: ["z"], sealed: ["cc", "bb", "aa"], ...inHandOf(["dd", "ee"]) },
    { count: 4, maxBytes: 5, settled: nameOf("dd", "ee") },
    batch(["bb", "cc"], { more: 1 }),
    { pending: ["z"], sealed: ["aa"], ...inHandOf(["bb", "cc"]) },
  ],
  [
    "bytes that fit exactly fit, and if they are all, nothing more is there",
    { pending: ["bb", "aa"] },
    { maxBytes: 4 },
    batch(["aa", "bb"], { more: 0 }),
    inHandOf(["aa", "bb"]),
  ],
  [
    "an envelope that is too large is handed out, alone",
    { pending: ["b", "huge", "a"] },
    { maxBytes: 2 },
    batch(["b"], { more: 1 }),
    { sealed: ["huge", "a"], ...inHandOf(["b"]) },
  ],
  [
    "also as the first",
    { sealed: ["huge", "a"] },
    { maxBytes: 2 },
    batch(["huge"], { more: 1 }),
    { sealed: ["a"], ...inHandOf(["huge"]) },
  ],
  [
    "a sealed generation that is too large is not topped up, and pending stays",
    { pending: ["z"], sealed: ["bb", "aa"] },
    { maxBytes: 3 },
    batch(["bb"], { more: 1 }),
    { pending: ["z"], sealed: ["aa"], ...inHandOf(["bb"]) },
  ],
  [
    "a top-up takes as much as still fits, which may be nothing",
    { pending: ["zz", "y"], sealed: ["b", "a"] },
    { maxBytes: 3 },
    batch(["a", "b"], { more: 1 }),
    { sealed: ["zz", "y"], ...inHandOf(["a", "b"]) },
  ],
  [
    "an eager flush takes what fits of a full batch",
    { pending: ["z", "y"], sealed: ["a"] },
    { fullBatchesOnly: true, maxBytes: 2 },
    batch(["a", "z"], { more: 1 }),
    { sealed: ["y"], ...inHandOf(["a", "z"]) },
  ],
  [
    "a batch in hand that is too large is handed out in part; the rest is sealed again, before anything newer",
    { pending: ["z"], sealed: ["d"], claimed: ["a", "b", "e"], claim: inHand(["a", "b", "e"], "me:0") },
    { maxBytes: 2 },
    batch(["a", "b"], { fresh: 0 }),
    { pending: ["z"], sealed: ["e", "d"], ...inHandOf(["a", "b"]) },
  ],
  [
    "its crashes and suspicions stay with that part",
    {
      claimed: ["a", "b", "c"],
      claim: inHand(["a", "b", "c"], "you:1", { crashes: "1", suspicions: "1", suspectedAtMs: "7" }),
    },
    { maxBytes: 1 },
    batch(["a"], { fresh: 0, crashes: 2, suspicions: 1 }),
    {
      ...{ sealed: ["c", "b"], claimed: ["a"], lease: "me:1" },
      claim: inHand(["a"], "me:1", { crashes: "2", suspicions: "1", suspectedAtMs: "7" }),
    },
  ],
  [
    "a late acknowledgement of the batch that was too large deletes nothing",
    { sealed: ["c"], ...inHandOf(["a", "b"]) },
    { settled: nameOf("a", "b", "c") },
    batch(["a", "b"], { fresh: 0 }),
    { sealed: ["c"], ...inHandOf(["a", "b"]) },
  ],
  [
    "a batch in hand of more rows than a batch may have is handed out in part, too",
    { claimed: ["a", "b", "c", "d"], claim: inHand(["a", "b", "c", "d"], "me:0") },
    { count: 3 },
    batch(["a", "b", "c"], { fresh: 0 }),
    { sealed: ["d"], ...inHandOf(["a", "b", "c"]) },
  ],
  [
    "envelopes one at a time are as large as they are, and the others stay in hand",
    { claimed: ["aa", "b", "c"], claim: inHand(["aa", "b", "c"], "me:0", { oneAtATime: "1" }) },
    { maxBytes: 1 },
    batch(["aa"], { fresh: 0, crashesAlone: 0 }),
    {
      ...{ claimed: ["aa", "b", "c"], lease: "me:1" },
      claim: inHand(["aa"], "me:1", { oneAtATime: "1" }),
    },
  ],
  [
    "envelopes without a claim that are too large with the next batch",
    { sealed: ["d", "c"], claimed: ["a", "b"] },
    { maxBytes: 3 },
    batch(["a", "b", "c"], { more: 1 }),
    { sealed: ["d"], ...inHandOf(["a", "b", "c"]) },
  ],
];

/** The arrows while a stream is paused: an acknowledgement is taken, and nothing is handed out. */
const PAUSED: [string, State, ClaimOptions, unknown[], State][] = [
  ["nothing there", { lease: "me:1" }, {}, ["none", 0], {}],
  [
    "what waits stays where it is",
    { pending: ["d", "c"], sealed: ["b", "a"] },
    {},
    ["paused"],
    { pending: ["d", "c"], sealed: ["b", "a"] },
  ],
  [
    "an acknowledgement is taken, and the lease given up",
    { pending: ["c"], claimed: ["a", "b"], lease: "me:1", claim: inHand(["a", "b"]) },
    { settled: nameOf("a", "b") },
    ["paused"],
    { pending: ["c"] },
  ],
  [
    "the acknowledgement that empties the partition, too",
    { claimed: ["a"], lease: "me:1", claim: inHand(["a"]) },
    { settled: nameOf("a"), count: 0 },
    ["paused"],
    {},
  ],
  [
    "an acknowledgement of one envelope leaves the others of its batch in hand",
    { claimed: ["a", "b"], lease: "me:1", claim: inHand(["a"], "me:1", { oneAtATime: "1" }) },
    { settled: nameOf("a") },
    ["paused"],
    { claimed: ["b"], claim: without("name", inHand(["a"], "me:1", { oneAtATime: "1" })) },
  ],
  [
    "the batch of a drain call that died stays in hand, and no crash is counted",
    { pending: ["c"], claimed: ["a", "b"], claim: inHand(["a", "b"], "you:1") },
    {},
    ["paused"],
    { pending: ["c"], claimed: ["a", "b"], claim: inHand(["a", "b"], "you:1") },
  ],
  [
    "a batch whose name is another one stays in hand",
    { claimed: ["a", "b"], lease: "me:1", claim: inHand(["a", "b"]) },
    { settled: nameOf("x") },
    ["paused"],
    { claimed: ["a", "b"], claim: inHand(["a", "b"]) },
  ],
  [
    "the lease of another drain call stays",
    { pending: ["c"], claimed: ["a"], lease: "you:1", claim: inHand(["a"], "you:1") },
    {},
    ["paused"],
    { pending: ["c"], claimed: ["a"], lease: "you:1", claim: inHand(["a"], "you:1") },
  ],
  [
    "an eager flush",
    { pending: ["c", "b", "a"] },
    { fullBatchesOnly: true },
    ["paused"],
    { pending: ["c", "b", "a"] },
  ],
];

describe("claim.lua", () => {
  test.each(CASES)("%s", async (_name, before, terms, reply, after) => {
    await put(before);
    const got = await claim(terms);
    if (typeof reply === "function") reply(got);
    else expect(got).toEqual(reply);
    expect(await get()).toEqual(after);
  });

  test.each(PAUSED)("of a paused stream: %s", async (_name, before, terms, reply, after) => {
    await put({ ...before, paused: "1 {}" });
    expect(await claim(terms)).toEqual(reply);
    expect(await get()).toEqual({ ...after, paused: "1 {}" });
  });

  test.each(BOUNDED)("bounded in bytes: %s", async (_name, before, terms, reply, after) => {
    await put(before);
    expect(await claim(terms)).toEqual(reply);
    expect(await get()).toEqual(after);
  });

  test("bounded in bytes, it hands out everything once, in the order in which smaller batches would come", async () => {
    const envelopes = Array.from({ length: 60 }, (_, i) => `${i}-`.padEnd(1 + ((i * 7) % 13), "x"));
    await put({ pending: envelopes.toReversed() });
    const newestFirst: unknown[] = [];
    let settled = "";
    for (;;) {
      const [kind, name, , more, , , , ...batch] = await claim({ count: 50, maxBytes: 40, settled });
      if (kind !== "batch") break;
      newestFirst.push(...batch.toReversed());
      expect(more === 1 || newestFirst.length === 60).toBe(true);
      expect(batch.length === 1 || batch.join("").length <= 40).toBe(true);
      settled = name as string;
    }
    expect(newestFirst.toReversed()).toEqual(envelopes);
    expect(await get()).toEqual({});
  });

  test("bounded in bytes, sent twice it changes nothing the second time", async () => {
    await put({ sealed: ["b"], claimed: ["c", "d", "e"], claim: inHand(["c", "d", "e"], "me:0") });
    const first = await claim({ maxBytes: 2 });
    const state = await get();
    expect(await claim({ maxBytes: 2 })).toEqual(first);
    expect(await get()).toEqual(state);
  });

  test("20,000 envelopes that somebody put in hand are handed out in parts", async () => {
    const envelopes = Array.from({ length: 20_000 }, (_, i) => String(i));
    await put({ claimed: envelopes });
    const [, name, , more, , , , ...batch] = await claim({ count: 5000 });
    expect([more, batch]).toEqual([1, envelopes.slice(0, 5000)]);
    expect(await redis.lrange("sealed", 0, -1)).toEqual(envelopes.slice(5000).toReversed());
    expect(envelopesOf(await claim({ count: 5000, settled: name as string }))).toEqual(
      envelopes.slice(15_000),
    );
  });

  test.each<[string, State]>([
    ["claimed", { pending: ["c", "b"], sealed: ["a"] }],
    ["pending", { sealed: ["b", "a"] }],
    ["sealed", { pending: ["b", "a"] }],
  ])("a %s key of another type costs no envelope", async (key, before) => {
    await put(before);
    await redis.set(key, "a string");
    await claim().catch((error: Error) => expect(error.message).toMatch(/^WRONGTYPE/));
    const lists = ["pending", "sealed", "claimed"];
    const foreign = await Promise.all(lists.map((list) => redis.type(list)));
    await redis.del(...lists.filter((_, i) => foreign[i] === "string"));
    const kept = await Promise.all(lists.map((list) => redis.lrange(list, 0, -1)));
    expect(kept.flat().sort()).toEqual([...(before.pending ?? []), ...(before.sealed ?? [])].sort());
  });

  test("sent twice with the same arguments, it changes nothing the second time", async () => {
    await put({ pending: ["d", "c", "b", "a"] });
    const first = await claim();
    const state = await get();
    const again = await claim();
    expect(envelopesOf(again)).toEqual(envelopesOf(first));
    expect(await get()).toEqual(state);
  });

  test("a lease runs out by Redis's clock, and is renewed by every claim", async () => {
    await put({ pending: ["a"] });
    await claim();
    expect(await redis.pttl("lease")).toBeGreaterThan(9000);
    await redis.pexpire("lease", 500);
    await claim();
    expect(await redis.pttl("lease")).toBeGreaterThan(9000);
  });

  test("two batches that differ in any id, in its longest head too, have different names", async () => {
    const ids = ["0190b3c4-aaaa-7bbb-8ccc-000000000001", "0190b3c4-aaaa-7bbb-8ccc-000000000002"];
    const names = new Set<unknown>();
    for (const head of [{ v: 1 }, { v: 999_999_999, burials: 999_999_999 }])
      for (const id of ids)
        for (const note of ["", "x".repeat(500)]) {
          const dataJson = JSON.stringify({ note });
          const envelope = encodeEnvelope({ ...head, id, receivedAt: "2026-11-21T09:30:00.123Z", dataJson });
          await redis.flushdb();
          await put({ pending: ["the same", envelope] });
          names.add((await claim())[1]);
        }
    expect(names.size).toBe(8);
  });

  test("5,000 envelopes fit one batch", async () => {
    await put({ pending: Array.from({ length: 5000 }, (_, i) => String(i)) });
    expect(envelopesOf(await claim({ count: 5000 })).length).toBe(5000);
  });

  test("what it costs, in calls inside the script: few when idle, under a tenth an event on a backlog", async () => {
    const calls = async (work: () => Promise<unknown>) => {
      await redis.config("RESETSTAT");
      await work();
      const stats = await redis.info("commandstats");
      return [...stats.matchAll(/cmdstat_(\w+)[^:]*:calls=(\d+)/g)]
        .filter(([, name]) => !["info", "config", "eval"].includes(name ?? ""))
        .reduce((sum, [, , n]) => sum + Number(n), 0);
    };
    expect(await calls(() => claim())).toBeLessThanOrEqual(2);
    await put({ pending: Array.from({ length: 500 }, (_, i) => String(i)) });
    const [, name] = (await claim({ count: 100 })) as string[];
    expect(await calls(() => claim({ count: 100, settled: name ?? "" }))).toBeLessThanOrEqual(8);
    expect(await calls(() => claim({ token: "you:1" }))).toBe(4); // held: EXISTS, HMGET, MGET, PTTL
    await redis.set("paused", "1 {}", "PX", 10_000);
    expect(await calls(() => claim({ token: "you:1" }))).toBe(3);
  });
});

describe("while Redis is full", () => {
  const full = async <T>(work: () => Promise<T>): Promise<T> => {
    await redis.config("SET", "maxmemory", "1");
    try {
      return await work();
    } finally {
      await redis.config("SET", "maxmemory", "0");
    }
  };

  test("what is in hand and what waits can still be drained, handed back and renewed: only that makes room", async () => {
    await put({ pending: ["d", "c"], claimed: ["a", "b"], claim: inHand(["a", "b"], "you:1") });
    expect(await full(() => redis.eval(readScript("measure"), 1, "pending", 2))).toEqual([2, 2, 2]);
    const again = await full(() => claim({ count: 2 }));
    expect(envelopesOf(again)).toEqual(["a", "b"]);
    const renewed = full(() => redis.eval(readScript("renew"), 2, "lease", "claim", "me:1", 10_000));
    expect(await renewed).toBe(1);
    await redis.del("lease"); // it ran out meanwhile
    expect(await full(() => handBack({ suspected: "1" }))).toBe(1);
    await full(() => claim({ count: 2 }));
    const next = await full(() => claim({ count: 2, settled: nameOf("a", "b") }));
    expect(envelopesOf(next)).toEqual(["c", "d"]);
  });

  test("what is too much for one reply is given back all the same", async () => {
    await put({ sealed: ["e"], claimed: ["a", "b", "c", "d"], claim: inHand(["a", "b", "c", "d"], "me:1") });
    const two = await full(() => claim({ maxBytes: 2 }));
    expect(envelopesOf(two)).toEqual(["a", "b"]);
    const next = await full(() => claim({ maxBytes: 2, settled: nameOf("a", "b") }));
    expect(envelopesOf(next)).toEqual(["c", "d"]);
    expect(await redis.lrange("sealed", 0, -1)).toEqual(["e"]);
  });
});

interface HandBackOptions {
  token?: string;
  alone?: string;
  suspected?: string;
  nowMs?: number;
}
const handBack = ({ token = "me:1", alone = "0", suspected = "0", nowMs = 0 }: HandBackOptions = {}) =>
  redis.eval(
    readScript("hand-back"),
    ...[3, "claimed", "lease", "claim"],
    ...[token, "42P01", "why", alone, suspected, nowMs],
  );

describe("hand-back.lua", () => {
  test("with no time to find the row at fault, envelopes are handed out one at a time from then on, and that is no crash", async () => {
    await put({ claimed: ["a", "b"], lease: "me:1", claim: inHand(["a", "b"]) });
    expect(await handBack({ alone: "1" })).toBe(1);
    expect(await claim({ token: "you:1" })).toEqual(batch(["a"], { fresh: 0, crashesAlone: 0 }));
  });

  test("gives the lease up and says why; the batch stays", async () => {
    await put({ claimed: ["a"], lease: "me:1", claim: inHand(["a"]) });
    expect(await handBack()).toBe(1);
    expect(await get()).toEqual({
      claimed: ["a"],
      claim: inHand(["a"], "me:1", { outcome: "returned", sqlstate: "42P01", reason: "why" }),
    });
  });

  test("sent late, after another drain call took the batch up, it changes nothing", async () => {
    const state = { claimed: ["a"], lease: "you:1", claim: inHand(["a"], "you:1") };
    await put(state);
    expect(await handBack()).toBe(0);
    expect(await get()).toEqual(state);
  });
});

describe("a batch handed back as suspected, because its insert broke the connection", () => {
  const MINUTE = 60_000;
  const T = 1_000_000;
  /** One drain call that claims and hands back as suspected; returns what it had. */
  async function suspect(nowMs: number, token = "me:1"): Promise<unknown[]> {
    const reply = await claim({ token });
    expect(await handBack({ token, suspected: "1", nowMs })).toBe(1);
    return reply;
  }

  test("is claimed whole at first, and its suspicions are told", async () => {
    await put({ pending: ["b", "a"] });
    expect(await suspect(T)).toEqual(batch(["a", "b"]));
    expect(await claim()).toEqual(batch(["a", "b"], { fresh: 0, suspicions: 1 }));
  });

  test("suspicions within a minute of the last that was counted are one", async () => {
    await put({ pending: ["b", "a"] });
    for (const afterMs of [0, 1, 30_000, MINUTE - 1]) await suspect(T + afterMs);
    expect(await claim()).toEqual(batch(["a", "b"], { fresh: 0, suspicions: 1 }));
  });

  test("a clock that was set back does not keep suspicions from being counted, nor do clocks of two machines that differ", async () => {
    await put({ pending: ["b", "a"] });
    await suspect(T);
    await suspect(T - 1000);
    expect(await claim()).toEqual(batch(["a", "b"], { fresh: 0, suspicions: 1 }));
    expect(await handBack({ suspected: "1", nowMs: T - 60 * MINUTE })).toBe(1);
    expect(await redis.hget("claim", "suspicions")).toBe("2");
  });

  test("two a minute apart narrow it: envelopes are handed out one at a time, and no crash is counted", async () => {
    await put({ pending: ["b", "a"] });
    await suspect(T);
    await suspect(T + MINUTE, "you:1");
    const alone = batch(["a"], { fresh: 0, crashesAlone: 0, suspicions: 2 });
    expect(await claim({ token: "they:1" })).toEqual(alone);
    expect(await get()).toEqual({
      claimed: ["a", "b"],
      lease: "they:1",
      claim: inHand(["a"], "they:1", {
        ...{ oneAtATime: "1", sqlstate: "42P01", reason: "why" },
        ...{ suspicions: "2", suspectedAtMs: String(T + MINUTE) },
      }),
    });
  });

  test("the culprit alone goes behind the others, which are stored first, and its count rises", async () => {
    await put({ pending: ["c", "b", "a"] });
    await suspect(T);
    await suspect(T + MINUTE);
    expect(envelopesOf(await suspect(T + 2 * MINUTE))).toEqual(["a"]);
    const known = { fresh: 0, suspicions: 3 };
    expect(await claim()).toEqual(batch(["b"], { ...known, crashesAlone: 0 }));
    expect(await claim({ settled: nameOf("b") })).toEqual(batch(["c"], { ...known, crashesAlone: 0 }));
    expect(await claim({ settled: nameOf("c") })).toEqual(batch(["a"], { ...known, crashesAlone: 1 }));
    expect(await handBack({ suspected: "1", nowMs: T + 3 * MINUTE })).toBe(1);
    expect(await claim()).toEqual(batch(["a"], { fresh: 0, suspicions: 4, crashesAlone: 2 }));
  });

  test("within a minute an envelope alone goes behind the others too, and nothing is counted against it", async () => {
    await put({ pending: ["b", "a"] });
    await suspect(T);
    await suspect(T + MINUTE);
    await suspect(T + MINUTE + 1);
    const reply = batch(["b"], { fresh: 0, suspicions: 2, crashesAlone: 0 });
    expect(await claim()).toEqual(reply);
    expect(await redis.lrange("claimed", 0, -1)).toEqual(["b", "a"]);
    expect(await redis.hexists("claim", `crashes:${nameOf("a")}`)).toBe(0);
  });

  test("sent twice, however late, it counts once and moves one envelope", async () => {
    await put({ pending: ["c", "b", "a"] });
    await suspect(T);
    await handBack({ suspected: "1", nowMs: T + MINUTE });
    expect(await redis.hget("claim", "suspicions")).toBe("1");
    await suspect(T + MINUTE);
    await suspect(T + 2 * MINUTE);
    const state = await get();
    expect(state.claimed).toEqual(["b", "c", "a"]);
    expect(await handBack({ suspected: "1", nowMs: T + 3 * MINUTE })).toBe(1);
    expect(await get()).toEqual(state);
  });

  test("a late acknowledgement of the envelope that went behind deletes no other", async () => {
    await put({ pending: ["b", "a"] });
    await suspect(T);
    await suspect(T + MINUTE);
    await suspect(T + 2 * MINUTE);
    const next = await claim({ settled: nameOf("a") });
    expect(envelopesOf(next)).toEqual(["b"]);
    expect(await redis.lrange("claimed", 0, -1)).toEqual(["b", "a"]);
  });

  test("a batch that is acknowledged takes its suspicions with it", async () => {
    await put({ pending: ["a"] });
    await suspect(T);
    await suspect(T + MINUTE);
    await suspect(T + 2 * MINUTE);
    await claim();
    await redis.lpush("pending", "z");
    expect(await claim({ settled: nameOf("a") })).toEqual(batch(["z"]));
    expect((await get()).claim).toEqual(inHand(["z"]));
  });

  test("an envelope alone that is settled after all clears every envelope of its count", async () => {
    await put({ pending: ["b", "a"] });
    for (const minute of [0, 1, 2, 3]) await suspect(T + minute * MINUTE); // a and b alone, once each
    expect(await claim()).toEqual(batch(["a"], { fresh: 0, suspicions: 4, crashesAlone: 1 }));
    const next = await claim({ settled: nameOf("a") });
    expect(next).toEqual(batch(["b"], { fresh: 0, suspicions: 4, crashesAlone: 0 }));
  });

  test("after another drain call took the batch up, nothing is suspected", async () => {
    const state = { claimed: ["a"], lease: "you:1", claim: inHand(["a"], "you:1") };
    await put(state);
    expect(await handBack({ suspected: "1", nowMs: T })).toBe(0);
    expect(await get()).toEqual(state);
  });
});

describe("renew.lua", () => {
  const renew = (token = "me:1") => redis.eval(readScript("renew"), 2, "lease", "claim", token, 10_000);

  test("extends the caller's lease, and takes one again that ran out meanwhile", async () => {
    await put({ claimed: ["a"], claim: inHand(["a"]) });
    expect(await renew()).toBe(1);
    expect(await redis.get("lease")).toBe("me:1");
  });

  test("tells a caller whose batch was taken up that it has to let go", async () => {
    const state = { claimed: ["a"], lease: "you:1", claim: inHand(["a"], "you:1") };
    await put(state);
    expect(await renew()).toBe(0);
    expect(await get()).toEqual(state);
  });
});

describe("measure.lua", () => {
  const measure = (runLength: number) => redis.eval(readScript("measure"), 1, "pending", runLength);

  test("reads a short list whole, and says so of an empty one", async () => {
    expect(await measure(2)).toEqual([0, 0, 0]);
    const state = { pending: ["語", "bb", "c", "d", "e", "f"], sealed: ["x"] };
    await put(state);
    expect(await measure(2)).toEqual([6, 6, 3 + 2 + 4]);
    expect(await get()).toEqual(state);
  });

  test("reads a run at either end and one in the middle of a longer one", async () => {
    const state = { pending: ["a", "bb", "no", "ccc", "dddd", "no", "no", "eeeee", "ffffff"] };
    await put(state);
    expect(await measure(2)).toEqual([9, 6, 1 + 2 + 3 + 4 + 5 + 6]);
    expect(await get()).toEqual(state);
  });
});

describe("pause.lua", () => {
  const pause = (nowMs: number, about: string, forMs: number) =>
    redis.eval(readScript("pause"), 1, "paused", nowMs, about, forMs) as Promise<[string, string, number]>;

  test("the first begins now, and ends by Redis's clock", async () => {
    expect(await pause(5, '{"by":"a"}', 60_000)).toEqual(['5 {"by":"a"}', "", -2]);
    expect(await get()).toEqual({ paused: '5 {"by":"a"}' });
    const leftMs = await redis.pttl("paused");
    expect([leftMs > 59_000, leftMs <= 60_000]).toEqual([true, true]);
  });

  test("the next keeps the beginning, replaces the rest, and may be sent twice", async () => {
    await pause(5, '{"by":"a"}', 60_000);
    const [value, before, leftMs] = await pause(9, '{"by":"b"}', 1000);
    expect([value, before, leftMs > 59_000]).toEqual(['5 {"by":"b"}', '5 {"by":"a"}', true]);
    expect(await redis.pttl("paused")).toBeLessThanOrEqual(1000);
    expect((await pause(9, '{"by":"b"}', 1000))[0]).toBe(value);
  });

  test.each([
    ["one that somebody wrote", () => redis.set("paused", "x"), "x", -1],
    ["a key of another type", () => redis.rpush("paused", "x"), "", -1],
  ])("%s is replaced", async (_name, write, before, leftMs) => {
    await write();
    expect(await pause(5, "{}", 1000)).toEqual(["5 {}", before, leftMs]);
    expect(await redis.pttl("paused")).toBeGreaterThan(0);
  });

  test("a full Redis takes it", async () => {
    await redis.config("SET", "maxmemory", "1");
    try {
      expect(await pause(5, "{}", 1000)).toEqual(["5 {}", "", -2]);
    } finally {
      await redis.config("SET", "maxmemory", "0");
    }
  });
});
