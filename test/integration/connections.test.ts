/** Pipelined requests to ingest: the sender of a stored event reads its answer, whatever it sends after it. */
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { drain } from "../../lib/drain/drain.ts";
import { openRawClient, type RawAnswer } from "../raw-client.ts";
import { type Ingest, serveIngest } from "./test-ingest.ts";
import { expectConserved, KEY, openWorld, type World } from "./test-stack.ts";

let world: World;
let ingest: Ingest;
beforeAll(async () => {
  world = await openWorld();
  ingest = await serveIngest(world);
});
beforeEach(() => world.reset());
afterAll(async () => {
  await ingest.close();
  await world.close();
});

const EVENT = JSON.stringify({ type: "test", payload: { a: 1 } });
const headOf = (path: string, framing: string) =>
  `POST /v1/${path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${KEY}\r\ncontent-type: application/json\r\n${framing}\r\n\r\n`;
const post = (path: string, declared = EVENT.length) =>
  `${headOf(path, `content-length: ${declared}`)}${EVENT}`;
const chunked = (bytes: string) => `${headOf("events", "transfer-encoding: chunked")}${bytes}`;

/** Sends bytes, ends the client's side if told so, and returns every answer. */
async function send(bytes: string, { ends = false } = {}): Promise<RawAnswer[]> {
  const client = openRawClient(Number(new URL(ingest.url).port));
  client.send(bytes);
  if (ends) client.end();
  const answers = await client.answers();
  client.destroy();
  return answers;
}

const idsOf = (answers: readonly RawAnswer[]): string[] =>
  answers.flatMap(({ body }) => (JSON.parse(body) as { ids?: string[] }).ids ?? []);

const FOLLOWING: [kind: string, bytes: string, ends: boolean, status: number][] = [
  ["garbage", "garbage\r\n\r\n", false, 400],
  ["headers over the limit", `GET / HTTP/1.1\r\nlong: ${"x".repeat(20_000)}\r\n\r\n`, false, 431],
  ["a malformed chunk", chunked(`3\r\n{"a\r\nnone\r\n`), false, 400],
  ["a body that is shorter than declared", post("events", EVENT.length + 1), true, 400],
  [
    "a method that takes no body",
    "DELETE /v1/events HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
    false,
    405,
  ],
];

test.each(FOLLOWING)(
  "%s after two slow events: both are answered and stored once",
  async (_kind, bytes, ends, status) => {
    world.upstash.setFault(() => ({ kind: "slow", delayMs: 100 }));
    world.neon.setFault(() => ({ kind: "slow", delayMs: 100 }));
    const answers = await send(`${post("events?ack=stored")}${post("events")}${bytes}`, { ends });
    expect(answers.map((answer) => answer.status)).toEqual([201, 202, status]);
    expect(answers[2]?.headers.get("content-type")).toBe("application/problem+json");
    world.upstash.setFault(undefined);
    world.neon.setFault(undefined);
    await drain(world.supervisor(), {});
    const ids = idsOf(answers);
    expect(ids).toHaveLength(2);
    await expectConserved(world, "events", ids);
  },
);

test("a body that is longer than declared: its event is answered, then the surplus", async () => {
  const answers = await send(`${post("events")}surplus\r\n\r\n`);
  expect(answers.map(({ status }) => status)).toEqual([202, 400]);
  await expectConserved(world, "events", idsOf(answers));
});

test("a sender that ends its side after its event reads the answer", async () => {
  const answers = await send(post("events?ack=stored"), { ends: true });
  expect(answers.map(({ status }) => status)).toEqual([201]);
  await expectConserved(world, "events", idsOf(answers));
});

test("HTTP/1.0 is answered", async () => {
  const answers = await send(post("events").replace("HTTP/1.1", "HTTP/1.0"));
  expect(answers.map(({ status }) => status)).toEqual([202]);
  await expectConserved(world, "events", idsOf(answers));
});
