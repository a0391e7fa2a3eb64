/**
 * Signed webhooks over HTTP on real servers: each provider's own library or documented way signs. A forgery gets a 401 and is not parsed;
 * whatever holds is kept, ignored or a dead letter; and at the end of each test every id is accounted for.
 */
import { createHash, createHmac, randomUUID } from "node:crypto";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { parseApiKeys, plainKey } from "../../lib/config.ts";
import { drain } from "../../lib/drain/drain.ts";
import { readStatus } from "../../lib/operate/status.ts";
import { openRawClient } from "../raw-client.ts";
import { type Ingest, type Overrides, serveIngest } from "./test-ingest.ts";
import { expectConserved, openWorld, type World, whereabouts } from "./test-stack.ts";
import { type SenderName, type Signed, type Signing, senders, signatureHeaders } from "./webhook-senders.ts";

const base64 = (text: string) => Buffer.from(text.padEnd(24, "x")).toString("base64");
const SECRETS: Record<SenderName | "svix", string> = {
  standard: `whsec_${base64("standard")}`,
  svix: `whsec_${base64("svix")}`,
  github: "It's-a-secret",
  stripe: "whsec_stripe",
  shopify: "shopify-secret",
  slack: "slack-secret",
};
const OLD = "an-older-secret";
const secrets = {
  TEST_STANDARD_SECRET: SECRETS.standard,
  TEST_SVIX_SECRET: SECRETS.svix,
  TEST_GITHUB_SECRET: `${OLD} ${SECRETS.github}`,
  TEST_STRIPE_SECRET: `${SECRETS.stripe},${OLD}`,
  TEST_SHOPIFY_SECRET: SECRETS.shopify,
  TEST_SLACK_SECRET: SECRETS.slack,
};
const NAMES = Object.keys(senders) as SenderName[];

let world: World;
let ingest: Ingest;
beforeAll(async () => {
  world = await openWorld();
  ingest = await serveIngest(world, { secrets });
});
beforeEach(() => world.reset());
afterAll(async () => {
  await ingest.close();
  await world.close();
});

const at = (source: string, stream = "deliveries") => `/v1/${stream}/from/${source}`;

/** Posts a delivery as it is. */
const send = (source: string, { body, headers }: Signed, to = ingest) =>
  to.send(at(source), { method: "POST", body: new Uint8Array(body), headers });

/** Signs a body as a sender does, with its secret, and posts it. */
async function deliver(name: SenderName, body: string | Buffer, more: Partial<Signing> = {}, to = ingest) {
  return send(name, await senders[name](body, { secret: SECRETS[name], ...more }), to);
}

let count = 0;
/** A body of each kind of sender, another one with each call. */
const bodyOf = (type = "order.created") => {
  const n = ++count;
  return JSON.stringify({ id: `evt_${n}`, event_id: `Ev${n}`, type, n });
};

const drainAll = () => drain(world.supervisor(), {});
const rows = async () =>
  (await world.sql.query("select id, type, payload from deliveries")).rows as {
    id: string;
    type: string;
    payload: { n: number };
  }[];
const letters = async () =>
  (await world.sql.query("select id, envelope, reason, retry_at from dead_letters")).rows as {
    id: string;
    envelope: string;
    reason: string;
    retry_at: string | null;
  }[];

/** Serves another instance for one piece of work. */
async function withIngest<T>(overrides: Overrides, work: (other: Ingest) => Promise<T>): Promise<T> {
  const other = await serveIngest(world, { secrets, ...overrides });
  try {
    return await work(other);
  } finally {
    await other.close();
  }
}

describe.each(NAMES)("%s", (name) => {
  test("a delivery that is signed is buffered, then stored, once however often it comes", async () => {
    const body = bodyOf();
    const signed = await senders[name](body, { secret: SECRETS[name] });
    const first = await send(name, signed);
    expect(first).toMatchObject({ status: 202, body: { accepted: 1, ack: "buffered" } });
    for (const again of [await send(name, signed), await send(name, signed)])
      expect(again).toMatchObject({ status: 202, body: { ids: first.body.ids } });
    await drainAll();
    expect(await rows()).toMatchObject([{ id: first.body.ids[0], payload: { n: count } }]);
    await expectConserved(world, "deliveries", first.body.ids);
  });

  test("each byte of the body counts, and each of the signature", async () => {
    const signed = await senders[name](bodyOf(), { secret: SECRETS[name] });
    const header = signatureHeaders[name];
    const changedBodies = [...signed.body.keys()].map((i) => {
      const body = Buffer.from(signed.body);
      body[i] = (body[i] ?? 0) ^ 1;
      return { ...signed, body };
    });
    const given = signed.headers[header] ?? "";
    const changedSignatures = Array.from({ length: given.length }, (_, i) => {
      const char = given[i] === "a" ? "b" : "a";
      return {
        ...signed,
        headers: { ...signed.headers, [header]: given.slice(0, i) + char + given.slice(i + 1) },
      };
    });
    const shorter = { ...signed, body: signed.body.subarray(1) };
    const longer = { ...signed, body: Buffer.concat([signed.body, Buffer.from(" ")]) };
    const answers = [];
    for (const one of [...changedBodies, ...changedSignatures, shorter, longer])
      answers.push(await send(name, one));
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([401]));
    expect(new Set(answers.map(({ body }) => JSON.stringify(body))).size).toBe(1); // nothing says which part it was
    expect(answers[0]?.body).toMatchObject({ code: "invalid-signature" });
    await drainAll();
    expect(await whereabouts(world, "deliveries")).toEqual({ stored: [], dead: [], held: [], buffered: [] });
  });

  test("no signature, an empty one, another secret's, another sender's", async () => {
    const body = bodyOf();
    const { [signatureHeaders[name]]: _, ...without } = (await senders[name](body, { secret: SECRETS[name] }))
      .headers;
    expect((await send(name, { body: Buffer.from(body), headers: without })).status).toBe(401);
    const empty = { ...without, [signatureHeaders[name]]: "" };
    expect((await send(name, { body: Buffer.from(body), headers: empty })).status).toBe(401);
    const foreign = name === "standard" ? SECRETS.svix : "foreign";
    expect((await deliver(name, body, { secret: foreign })).status).toBe(401);
    for (const other of NAMES.filter((one) => one !== name))
      expect((await send(other, await senders[name](body, { secret: SECRETS[name] }))).status).toBe(401);
    expect(await whereabouts(world, "deliveries")).toEqual({ stored: [], dead: [], held: [], buffered: [] });
  });

  test("what toEvent ignores is a 200, and nowhere kept", async () => {
    if (name === "github" || name === "shopify") return; // their toEvent ignores nothing
    expect(await deliver(name, bodyOf("ignored"))).toMatchObject({ status: 200, body: { ignored: true } });
    await drainAll();
    expect(await whereabouts(world, "deliveries")).toEqual({ stored: [], dead: [], held: [], buffered: [] });
  });

  test("a body that is not JSON is a dead letter with its bytes, at the next drain, and not a 4xx", async () => {
    const body = `{"n":${++count}, "cut`;
    const answer = await deliver(name, body);
    expect(answer).toMatchObject({
      status: 202,
      body: { accepted: 1, ack: "buffered", deadLetter: "the body is not JSON in UTF-8" },
    });
    expect((await deliver(name, body, { id: "other" })).status).toBe(202);
    await drainAll();
    const [letter] = (await letters()).filter(({ id }) => id === answer.body.ids[0]);
    expect(letter).toMatchObject({
      reason: `webhook ${name}: the body is not JSON in UTF-8`,
      retry_at: null,
    });
    expect(JSON.parse(letter?.envelope ?? "")).toMatchObject({ webhook: name, body });
    expect((await ingest.where("deliveries", answer.body.ids[0])).body.status).toBe("dead");
  });
});

describe("time", () => {
  test.each(["standard", "stripe", "slack"] as const)(
    "%s: a signature is good for five minutes, before and after",
    async (name) => {
      const now = Math.floor(Date.now() / 1000);
      const ids: string[] = [];
      for (const [atSeconds, status] of [
        [now - 290, 202],
        [now + 290, 202],
        [now - 310, 401],
        [now + 310, 401],
        [1, 401],
      ] as const) {
        const answer = await deliver(name, bodyOf(), { atSeconds });
        expect(answer.status, String(atSeconds - now)).toBe(status);
        ids.push(...(answer.body.ids ?? []));
      }
      await drainAll();
      await expectConserved(world, "deliveries", ids);
    },
  );
});

describe("ids", () => {
  test("the id that a sender has signed is the event's, in the scope of the source", async () => {
    const answers = [
      await deliver("standard", bodyOf(), { id: "msg_a" }),
      await deliver("standard", bodyOf(), { id: "msg_a" }), // the first event under an id is kept
      await send("svix", await senders.standard(bodyOf(), { secret: SECRETS.svix, id: "msg_a" })),
      await deliver("stripe", '{"id":"evt_x","type":"a"}'),
      await deliver("stripe", '{"id":"evt_x","type":"b"}'),
      await deliver("slack", '{"event_id":"evt_x","type":"a"}'),
    ];
    const ids = answers.map(({ body }) => body.ids[0]);
    expect(ids[1]).toBe(ids[0]);
    expect(ids[4]).toBe(ids[3]);
    expect(new Set(ids).size).toBe(4);
    await drainAll();
    await expectConserved(world, "deliveries", ids);
  });

  test("a UUID that nobody can guess is the row's id as it is", async () => {
    const id = randomUUID();
    expect((await deliver("standard", bodyOf(), { id: id.toUpperCase() })).body.ids).toEqual([id]);
  });

  test("a key of the source's name makes other ids, and no key can have the name that makes these", async () => {
    const sha256 = createHash("sha256").update("k").digest();
    await withIngest({ apiKeys: [plainKey("stripe", sha256)] }, async (other) => {
      const { body } = await deliver("stripe", '{"id":"evt_y","type":"a"}', {}, other);
      const byKey = await other.post("deliveries", { id: "evt_y", type: "a", payload: {} }, { key: "k" });
      expect(byKey.status).toBe(202);
      expect(byKey.body.ids).not.toEqual(body.ids);
    });
    expect(parseApiKeys(`source stripe:${sha256.toString("hex")}`).keys).toEqual([]);
  });

  test("GitHub and Shopify sign no id: it follows from the body, whatever the headers say", async () => {
    for (const name of ["github", "shopify"] as const) {
      const body = bodyOf();
      const first = await deliver(name, body, { headers: { "x-github-delivery": randomUUID() } });
      const replay = await deliver(name, body, { headers: { "x-github-delivery": randomUUID() } });
      const other = await deliver(name, bodyOf());
      expect(replay.body.ids).toEqual(first.body.ids);
      expect(other.body.ids).not.toEqual(first.body.ids);
    }
  });
});

describe("secrets", () => {
  test("while a secret is changed, the old and the new one hold", async () => {
    const ids: string[] = [];
    for (const name of ["github", "stripe"] as const)
      for (const secret of [SECRETS[name], OLD]) {
        const answer = await deliver(name, bodyOf(), { secret });
        expect(answer.status).toBe(202);
        ids.push(...answer.body.ids);
      }
    expect((await deliver("shopify", bodyOf(), { secret: OLD })).status).toBe(401);
    await drainAll();
    await expectConserved(world, "deliveries", ids);
  });

  test("a source without a secret answers 503, and the others go on", async () => {
    const { TEST_STRIPE_SECRET: _, ...others } = { ...secrets, TEST_SLACK_SECRET: " , " };
    await withIngest({ secrets: others }, async (other) => {
      for (const name of ["stripe", "slack"] as const) {
        const answer = await deliver(name, bodyOf(), {}, other);
        expect(answer).toMatchObject({ status: 503, body: { code: "webhook-without-secret" } });
        expect(answer.headers.get("retry-after")).toBe("5");
        expect(JSON.stringify(answer.body)).not.toContain("TEST_");
      }
      expect((await deliver("github", bodyOf(), {}, other)).status).toBe(202);
    });
  });
});

describe("Slack's handshake", () => {
  const challenge = JSON.stringify({ type: "url_verification", token: "t", challenge: "3eZbrw1aBm2rZgRN" });

  test("answers the challenge once the signature holds, and keeps nothing", async () => {
    expect(await deliver("slack", challenge)).toMatchObject({
      status: 200,
      body: { challenge: "3eZbrw1aBm2rZgRN" },
    });
    expect((await deliver("slack", challenge, { secret: "foreign" })).status).toBe(401);
    expect((await deliver("stripe", challenge)).body).not.toHaveProperty("challenge");
    await drainAll();
    expect((await whereabouts(world, "deliveries")).stored).toHaveLength(1); // Stripe's, of that type
  });
});

describe("the request", () => {
  test("paths and methods", async () => {
    const post = { method: "POST", body: "{}" };
    for (const path of [
      at("paypal"),
      at("stripe", "events"),
      at("stripe", "nothing"),
      at("constructor"),
      at(""),
    ])
      expect(await ingest.send(path, post), path).toMatchObject({
        status: 404,
        body: { code: "unknown-source" },
      });
    expect((await ingest.send(`${at("stripe")}/more`, post)).body.code).toBe("unknown-path");
    for (const method of ["GET", "PUT", "DELETE"]) {
      const answer = await ingest.send(at("stripe"), { method });
      expect(answer).toMatchObject({ status: 405, body: { code: "method-not-allowed" } });
      expect(answer.headers.get("allow")).toBe("POST");
    }
    expect((await ingest.send(at("stripe"), { method: "OPTIONS" })).status).toBe(204);
    const handshake = { method: "OPTIONS", headers: { "webhook-request-origin": "a.example" } };
    expect((await ingest.send("/v1/deliveries", handshake)).status).toBe(200);
  });

  test("a compressed body is a 415, although its signature holds", async () => {
    const { body, headers } = await senders.stripe(bodyOf(), { secret: SECRETS.stripe });
    const zipped = { body: gzipSync(body), headers: { ...headers, "content-encoding": "gzip" } };
    expect(await send("stripe", zipped)).toMatchObject({
      status: 415,
      body: { code: "unsupported-encoding" },
    });
  });

  test("1 MB, or what the source declares, to the byte", async () => {
    const bytes = (n: number) => {
      const head = `{"type":"a","n":${++count},"x":"`;
      return `${head}${"x".repeat(n - head.length - 2)}"}`;
    };
    for (const [name, max] of [
      ["github", 1_048_576],
      ["standard", 1_048_576],
      ["shopify", 2000],
    ] as const) {
      expect((await deliver(name, bytes(max))).status, name).toBe(202);
      expect(await deliver(name, bytes(max + 1)), name).toMatchObject({
        status: 413,
        body: { code: "body-too-large" },
      });
    }
    await withIngest({ bodyMaxBytes: 1024 }, async (other) => {
      expect((await deliver("github", bytes(1024), {}, other)).status).toBe(202);
      expect((await deliver("github", bytes(1025), {}, other)).status).toBe(413);
    });
  });

  test("a body in chunks is verified whole, also past its bound", async () => {
    const inChunks = async (name: SenderName, { body, headers }: Signed, size: number) => {
      const client = openRawClient(Number(new URL(ingest.url).port));
      const head = Object.entries({
        ...headers,
        host: "a",
        "transfer-encoding": "chunked",
        connection: "close",
      });
      client.send(`POST ${at(name)} HTTP/1.1\r\n${head.map(([k, v]) => `${k}: ${v}\r\n`).join("")}\r\n`);
      for (let i = 0; i < body.length; i += size) {
        const piece = body.subarray(i, i + size);
        client.send(`${piece.length.toString(16)}\r\n${piece.toString("latin1")}\r\n`);
      }
      client.send("0\r\n\r\n");
      const [answer] = await client.answers();
      return answer;
    };
    const signed = await senders.shopify('{"é":"💧"}', { secret: SECRETS.shopify });
    expect((await inChunks("shopify", signed, 1))?.status).toBe(202);
    const large = await senders.shopify(`{"x":"${"x".repeat(2000)}"}`, { secret: SECRETS.shopify });
    expect((await inChunks("shopify", large, 500))?.status).toBe(413);
  });

  test("signed deliveries have no rate, and need no key", async () => {
    await withIngest({ keyEventsPerSecond: 1 }, async (other) => {
      const ids: string[] = [];
      for (let i = 0; i < 10; i++) {
        const answer = await deliver("stripe", bodyOf(), {}, other);
        expect(answer.status).toBe(202);
        ids.push(...answer.body.ids);
      }
      await drainAll();
      await expectConserved(world, "deliveries", ids);
    });
  });
});

describe("dead letters", () => {
  const big = JSON.stringify({ type: "a", x: "x".repeat(40_000) });
  const reasons: [string, SenderName, string | Buffer, Record<string, string>, string][] = [
    ["toEvent throws", "stripe", '{"id":"evt_1"}', {}, "toEvent threw ZodError"],
    ["not an object", "stripe", "[1]", {}, "toEvent threw ZodError"],
    [
      "the schema",
      "github",
      "{}",
      { "x-github-event": "" },
      "its event does not fit the schema at type: too_small",
    ],
    ["null in a field", "github", "null", {}, "its event does not fit the schema at payload: custom"],
    ["too large", "standard", big, {}, "its event is larger than EVENT_MAX_BYTES (32768)"],
    ["NUL", "github", '{"a":"\\u0000"}', {}, "its event has a value that can't be stored at payload"],
    [
      "a lone surrogate",
      "github",
      '{"a":"\\ud800"}',
      {},
      "its event has a value that can't be stored at payload",
    ],
    [
      "a large integer",
      "shopify",
      '{"a":820982911946154508}',
      {},
      "its event has a value that can't be stored at payload",
    ],
    ["empty", "shopify", "", {}, "the body is not JSON in UTF-8"],
    ["a form", "github", "payload=%7B%7D", {}, "the body is not JSON in UTF-8"],
    ["raw NUL", "github", Buffer.from("{\0}"), {}, "the body is not JSON in UTF-8"],
  ];

  test.each(reasons)("%s (%s)", async (_, name, body, headers, reason) => {
    const answer = await deliver(name, body, { headers });
    expect(answer).toMatchObject({ status: 202, body: { deadLetter: reason } });
    await drainAll();
    const [letter, ...others] = await letters();
    expect(others).toEqual([]);
    expect(letter).toMatchObject({ id: answer.body.ids[0], reason: `webhook ${name}: ${reason}` });
    const { body: text, base64: encoded } = JSON.parse(letter?.envelope ?? "");
    expect(encoded ? Buffer.from(encoded, "base64") : Buffer.from(text)).toEqual(Buffer.from(body));
    expect(letter?.envelope).not.toMatch(/signature|hmac/i);
    await expectConserved(world, "deliveries", answer.body.ids);
  });

  test("bytes that are not UTF-8 keep their bytes, and other such bytes do not share their signature", async () => {
    const body = Buffer.from([0x7b, 0x22, 0xff, 0x00, 0x22, 0x7d]);
    const digest = createHmac("sha256", SECRETS.github).update(body).digest("hex");
    const signed = { body, headers: { "x-hub-signature-256": `sha256=${digest}` } };
    expect((await send("github", { ...signed, body: Buffer.from(body).fill(0xfe, 2, 3) })).status).toBe(401);
    const answer = await send("github", signed);
    expect(answer.status).toBe(202);
    await drainAll();
    const [letter] = await letters();
    expect(JSON.parse(letter?.envelope ?? "").base64).toBe(body.toString("base64"));
    await expectConserved(world, "deliveries", answer.body.ids);
  });

  test("the largest body, of the characters that take most room as JSON", async () => {
    const body = Buffer.alloc(1_048_576, '"');
    const answer = await deliver("github", body);
    expect(answer.status).toBe(202);
    await drainAll();
    const [letter] = await letters();
    expect(Buffer.from(JSON.parse(letter?.envelope ?? "").base64, "base64").equals(body)).toBe(true);
    await expectConserved(world, "deliveries", answer.body.ids);
  });

  test("while Redis is away it is buried at once; while both are, 503", async () => {
    world.upstash.setFault(() => ({ kind: "refuse" }));
    const answer = await deliver("stripe", '{"id":"evt_1"}');
    expect(answer).toMatchObject({
      status: 202,
      body: { ack: "stored", deadLetter: "toEvent threw ZodError" },
    });
    expect(await letters()).toMatchObject([
      { id: answer.body.ids[0], reason: "webhook stripe: toEvent threw ZodError" },
    ]);
    world.neon.setFault(() => ({ kind: "refuse" }));
    const away = await deliver("stripe", '{"id":"evt_2"}');
    expect(away).toMatchObject({ status: 503, body: { code: "servers-away" } });
    expect(away.headers.get("retry-after")).toBe("5");
    await expectConserved(world, "deliveries", answer.body.ids);
  });

  test("while Postgres is away it is buffered, and buried later", async () => {
    world.neon.setFault(() => ({ kind: "refuse" }));
    const answer = await deliver("stripe", '{"id":"evt_1"}');
    expect(answer.status).toBe(202);
    await drainAll();
    expect(await letters()).toEqual([]);
    world.neon.setFault(undefined);
    await drainAll();
    await expectConserved(world, "deliveries", answer.body.ids);
  });

  test("a delivery that is sent again after its event was stored leaves no letter", async () => {
    const { body } = await deliver("stripe", '{"id":"evt_1","type":"a"}');
    await drainAll();
    expect((await deliver("stripe", '{"id":"evt_1"}')).body.deadLetter).toBeDefined();
    await drainAll();
    expect(await letters()).toEqual([]);
    await expectConserved(world, "deliveries", body.ids);
  });
});

describe("load and failures", () => {
  test("a full buffer is a 503 for events and letters alike, and nothing is kept", async () => {
    await withIngest({ bufferMaxBytes: 1000, partitions: 1 }, async (other) => {
      const ids: string[] = [];
      for (;;) {
        const answer = await deliver("stripe", bodyOf(), {}, other);
        if (answer.status !== 202) {
          expect(answer).toMatchObject({ status: 503, body: { code: "buffer-full" } });
          break;
        }
        ids.push(...answer.body.ids);
      }
      expect((await deliver("stripe", '{"id":"x"}', {}, other)).body.code).toBe("buffer-full");
      await drainAll();
      await expectConserved(world, "deliveries", ids);
    });
  });

  test("while Redis is away an event is stored, with a 201", async () => {
    world.upstash.setFault(() => ({ kind: "refuse" }));
    const answer = await deliver("github", bodyOf());
    expect(answer).toMatchObject({ status: 201, body: { ack: "stored" } });
    await expectConserved(world, "deliveries", answer.body.ids);
  });

  test("at its deadline a delivery is answered with 503, while Redis hangs", {
    timeout: 15_000,
  }, async () => {
    world.upstash.setFault(() => ({ kind: "hang" }));
    await withIngest({ pushTimeoutMs: 30_000 }, async (other) => {
      // If it waited for Redis, it would be written through, and a 201.
      const answer = await deliver("slack", bodyOf(), {}, other);
      expect(answer).toMatchObject({ status: 503, body: { code: "servers-away" } });
      expect(answer.headers.get("retry-after")).toBe("5");
      const letter = await deliver("slack", '{"event_id":"a"}', {}, other);
      expect(letter).toMatchObject({ status: 503, body: { code: "servers-away" } });
    });
  });

  test("what is put on record is not waited for past the deadline", { timeout: 15_000 }, async () => {
    const never = () => new Promise<void>(() => {});
    const records = {
      usage: { add: () => {}, sendIfDue: never },
      refusals: { note: () => {}, writeIfDue: never },
    };
    world.upstash.setFault(() => ({ kind: "hang" }));
    await withIngest({ pushTimeoutMs: 30_000, records }, async (other) => {
      expect((await deliver("slack", bodyOf(), {}, other)).status).toBe(503);
      expect((await deliver("slack", bodyOf(), { secret: "foreign" }, other)).status).toBe(401);
    });
  });

  test("a body that does not come in time is a 503, too", async () => {
    const { headers } = await senders.slack("{}", { secret: SECRETS.slack });
    const client = openRawClient(Number(new URL(ingest.url).port));
    const head = Object.entries({ ...headers, host: "a", "content-length": "10" });
    client.send(`POST ${at("slack")} HTTP/1.1\r\n${head.map(([k, v]) => `${k}: ${v}\r\n`).join("")}\r\n{"a"`);
    const [answer] = await client.firstAnswers(1);
    expect(answer?.status).toBe(503);
    expect(JSON.parse(answer?.body ?? "")).toMatchObject({ code: "webhook-late" });
    client.destroy();
  });
});

describe("counts", () => {
  const status = async () =>
    (await readStatus(world.supervisor())).streams.find(({ stream }) => stream === "deliveries");
  const commands = () => {
    const seen: string[][] = [];
    world.upstash.setFault(({ commands: all }) => void seen.push(...all));
    return seen;
  };

  test("good deliveries and failed signatures of each source, with their last times, of all instances", async () => {
    await withIngest({}, async (a) => {
      await withIngest({}, async (b) => {
        const before = Date.now();
        await deliver("stripe", bodyOf(), {}, a);
        await deliver("stripe", bodyOf(), { secret: "foreign" }, b);
        const { webhooks = [] } = (await status()) ?? {};
        expect(webhooks.map(({ source }) => source)).toEqual([
          "standard",
          "svix",
          "github",
          "stripe",
          "shopify",
          "slack",
        ]);
        const [stripe] = webhooks.filter(({ source }) => source === "stripe");
        expect(stripe).toMatchObject({ good: 1, failed: 1 });
        for (const at of [stripe?.lastGoodAt, stripe?.lastFailedAt])
          expect(Date.parse(at ?? "")).toBeGreaterThanOrEqual(before);
        expect(webhooks[0]).toEqual({
          source: "standard",
          good: 0,
          lastGoodAt: null,
          failed: 0,
          lastFailedAt: null,
        });
      });
    });
  });

  test("forgeries cost one call of Redis in ten seconds, no Postgres, and are not parsed", async () => {
    let nowMs = Date.now();
    let statements = 0;
    world.neon.setFault(() => void statements++);
    await withIngest({ now: () => nowMs }, async (other) => {
      const seen = commands();
      for (let i = 0; i < 200; i++)
        expect((await deliver("github", "[".repeat(1000), { secret: "foreign" }, other)).status).toBe(401);
      expect(seen.filter(([name]) => name === "EVALSHA" || name === "EVAL").length).toBeLessThanOrEqual(2);
      expect(seen.every(([, , , key]) => key === "{spillway}:webhooks")).toBe(true);
      nowMs += 10_001;
      await deliver("github", "{}", { secret: "foreign" }, other);
      expect(statements).toBe(0);
    });
    world.upstash.setFault(undefined);
    expect((await status())?.webhooks?.find(({ source }) => source === "github")).toMatchObject({
      good: 0,
      failed: 201,
    });
    expect(world.said.filter(({ event }) => event === "webhook.refused")).toMatchObject([
      { fields: { stream: "deliveries", source: "github", failed: 1 } },
      { fields: { stream: "deliveries", source: "github", failed: 200 } },
    ]);
  });

  test("while Redis hangs, a forgery does not wait for it", { timeout: 15_000 }, async () => {
    world.upstash.setFault(() => ({ kind: "hang" }));
    await withIngest({ pushTimeoutMs: 30_000 }, async (other) => {
      expect((await deliver("github", "{}", { secret: "foreign" }, other)).status).toBe(401);
    });
  });

  test("counts that Redis did not take are added the next time", async () => {
    let nowMs = Date.now();
    await withIngest({ now: () => nowMs }, async (other) => {
      world.upstash.setFault(() => ({ kind: "refuse" }));
      expect((await deliver("github", "{}", { secret: "foreign" }, other)).status).toBe(401);
      world.upstash.setFault(undefined);
      nowMs += 10_001;
      expect((await deliver("github", "{}", { secret: "foreign" }, other)).status).toBe(401);
    });
    expect((await status())?.webhooks?.find(({ source }) => source === "github")?.failed).toBe(2);
  });

  test("the status asks for them with one command", async () => {
    const seen = commands();
    await status();
    expect(seen.filter((command) => command.includes("{spillway}:webhooks"))).toHaveLength(1);
  });
});
