/** How a key is presented: in which headers and forms, in the query for public keys only, and one key a request. */
import { createHash } from "node:crypto";
import { afterAll, beforeAll, expect, test } from "vitest";
import { newKey } from "../../lib/access/key-format.ts";
import { plainKey } from "../../lib/config.ts";
import { drain } from "../../lib/drain/drain.ts";
import { openRawClient, type RawAnswer } from "../raw-client.ts";
import { type Ingest, OTHER_KEY, serveIngest } from "./test-ingest.ts";
import { expectConserved, KEY, openWorld, type World } from "./test-stack.ts";

/** As `npm start` made them before keys had a checksum. */
const OLD_KEY = "spw_0kPq-Zr8_sTuVwXy01AbCdEf";
const NEW_KEY = newKey("secret");
const PUBLIC_KEY = newKey("public");
const OTHER_PUBLIC_KEY = newKey("public");
const UNKNOWN_KEY = newKey("secret");
/** Its digest stands in the environment, so its record is that of a secret key. */
const PUBLIC_IN_ENVIRONMENT = newKey("public");
const UMLAUT_KEY = "schlüssel-密码";

let world: World;
let ingest: Ingest;
const accepted: string[] = [];

const digest = (key: string) => createHash("sha256").update(key).digest();
const publicKey = (name: string, key: string) =>
  ({
    ...plainKey(name, digest(key), new Set(["events"])),
    kind: "public",
    perAddressPerSecond: 1e6,
  }) as const;

beforeAll(async () => {
  world = await openWorld();
  await world.reset();
  ingest = await serveIngest(world, {
    apiKeys: [
      ...world.config.apiKeys,
      ...[OLD_KEY, NEW_KEY, PUBLIC_IN_ENVIRONMENT, UMLAUT_KEY].map((key, i) =>
        plainKey(`own-${i}`, digest(key)),
      ),
      ...[PUBLIC_KEY, OTHER_PUBLIC_KEY].map((key, i) => publicKey(`page-${i}`, key)),
    ],
  });
});
afterAll(async () => {
  await drain(world.supervisor(), {});
  await expectConserved(world, "events", accepted);
  await ingest.close();
  await world.close();
});

/** Sends a request of exactly these header lines. */
async function ask(lines: readonly string[], query = "", start = "POST /v1/events"): Promise<RawAnswer> {
  const client = openRawClient(Number(new URL(ingest.url).port));
  const body = start.startsWith("POST") ? '{"type":"t","payload":1}' : "";
  const head = [
    `${start}${query} HTTP/1.1`,
    ...["host: x", "connection: close", "content-type: text/plain", `content-length: ${body.length}`],
    ...lines,
  ];
  client.send(`${head.join("\r\n")}\r\n\r\n${body}`);
  const [answer] = await client.answers();
  if (answer?.status === 202) accepted.push(...(JSON.parse(answer.body) as { ids: string[] }).ids);
  return answer as RawAnswer;
}

const basic = (text: string) => `authorization: Basic ${Buffer.from(text).toString("base64")}`;

test.each<[how: string, lines: string[], query?: string]>([
  ["Bearer", [`Authorization: Bearer ${KEY}`]],
  ["Bearer, in other letters", [`AUTHORIZATION: bEARER ${KEY}`]],
  ["Bearer, with tabs and spaces", [`authorization:\tBearer \t ${KEY} \t`]],
  ["Bearer, an old key of npm start", [`authorization: Bearer ${OLD_KEY}`]],
  ["Bearer, a new key", [`authorization: Bearer ${NEW_KEY}`]],
  ["Bearer, a public key", [`authorization: Bearer ${PUBLIC_KEY}`]],
  [
    "the same key in two Authorization headers",
    [`authorization: Bearer ${KEY}`, `Authorization: Bearer ${KEY}`],
  ],
  ["X-API-Key", [`X-API-Key: ${KEY}`]],
  ["X-API-Key, in other letters and with space", [`x-Api-kEY: \t${NEW_KEY} `]],
  ["X-API-Key, an old key of npm start", [`x-api-key: ${OLD_KEY}`]],
  ["Basic, as the password of any user", [basic(`anybody:${KEY}`)]],
  ["Basic, as the password of nobody", [basic(`:${NEW_KEY}`)]],
  ["Basic, as the user name", [basic(`${KEY}:`)]],
  ["Basic, of a user whose name is not ASCII", [basic(`Jürgen-山田:${KEY}`)]],
  ["Basic, a key that is not ASCII", [basic(`x:${UMLAUT_KEY}`)]],
  [
    "Basic, in other letters and without padding",
    [basic(`ab:${KEY}`).replace("Basic", "bASIC ").replace(/=+$/, "")],
  ],
  ["the same key in every header", [`x-api-key: ${KEY}`, `authorization: Bearer ${KEY}`, basic(`x:${KEY}`)]],
  ["beside a scheme that holds no key", ['authorization: Digest username="x"', `x-api-key: ${KEY}`]],
  ["beside empty ones", ["authorization:", "x-api-key:", `x-api-key: ${KEY}`], "?key="],
  ["?key=, a public key", [], `?key=${PUBLIC_KEY}`],
  ["?key=, percent-encoded", [], `?key=${PUBLIC_KEY.replaceAll("_", "%5F").replace("s", "%73")}`],
  ["?key=, among others and with a space", [], `?a=1&key=${PUBLIC_KEY}+&ack=buffered`],
  ["?key= twice", [], `?key=${PUBLIC_KEY}&key=${PUBLIC_KEY}`],
  ["beside another's ?key=, which is not ours", [`authorization: Bearer ${KEY}`], "?key=1&key=order-7"],
  ["?key= and a header", [`authorization: Bearer ${PUBLIC_KEY}`], `?key=${PUBLIC_KEY}`],
])("a key is taken: %s", async (_how, lines, query) => {
  expect(await ask(lines, query)).toMatchObject({ status: 202 });
});

const SEVERAL = /two different/;
const LEAKED = /header.*leaked/;

test.each<[how: string, code: string, detail: RegExp, lines: string[], query?: string]>([
  ["none", "missing-key", /expected a key/, []],
  ["empty ones", "missing-key", /expected a key/, ["authorization:", "x-api-key:"], "?key="],
  ["Bearer alone", "missing-key", /Authorization/, ["authorization: Bearer"]],
  ["a key without a scheme", "missing-key", /Authorization/, [`authorization: ${KEY}`]],
  ["two words", "missing-key", /Authorization/, [`authorization: Bearer ${KEY} ${KEY}`]],
  ["a list", "unknown-key", /not known/, [`authorization: Bearer ${KEY},${KEY}`]],
  ["another scheme", "missing-key", /Authorization/, [`authorization: Token ${KEY}`]],
  ["Basic that is not base64", "missing-key", /Authorization/, [`authorization: Basic ${KEY}!`]],
  ["Basic with the key itself", "missing-key", /Authorization/, [`authorization: Basic ${KEY}`]],
  ["Basic without a colon", "missing-key", /Authorization/, [basic(KEY)]],
  ["Basic of nothing", "missing-key", /Authorization/, [basic(":")]],
  ["Basic with another password", "unknown-key", /not known/, [basic(`${KEY}:wrong`)]],
  ["an unknown key", "unknown-key", /not known/, ["authorization: Bearer wrong"]],
  ["an unknown key of ours", "unknown-key", /not known/, [`authorization: Bearer ${UNKNOWN_KEY}`]],
  [
    "a key in other letters",
    "unknown-key",
    /mistyped/,
    [`authorization: Bearer ${NEW_KEY.replace("spw_", "spw_X")}`],
  ],
  ["a key that is cut off", "unknown-key", /mistyped/, [`x-api-key: ${NEW_KEY.slice(0, -1)}`]],
  ["an old key that is cut off", "unknown-key", /mistyped/, [`x-api-key: ${OLD_KEY.slice(0, -1)}`]],
  ["a public key that is cut off", "unknown-key", /mistyped/, [], `?key=${PUBLIC_KEY.slice(0, -1)}`],
  [
    "two Bearers",
    "unknown-key",
    SEVERAL,
    [`authorization: Bearer ${KEY}`, `authorization: Bearer ${OTHER_KEY}`],
  ],
  ["two X-API-Keys", "unknown-key", SEVERAL, [`x-api-key: ${KEY}`, `X-API-KEY: ${OTHER_KEY}`]],
  [
    "Bearer and another X-API-Key",
    "unknown-key",
    SEVERAL,
    [`authorization: Bearer ${KEY}`, "x-api-key: wrong"],
  ],
  [
    "Bearer and another Basic",
    "unknown-key",
    SEVERAL,
    [basic(`x:${OTHER_KEY}`), `authorization: Bearer ${KEY}`],
  ],
  ["two public keys in the query", "unknown-key", SEVERAL, [], `?key=${PUBLIC_KEY}&key=${OTHER_PUBLIC_KEY}`],
  ["another key in the query", "unknown-key", SEVERAL, [`x-api-key: ${KEY}`], `?key=${PUBLIC_KEY}`],
  ["a secret key in the query", "unknown-key", LEAKED, [], `?key=${NEW_KEY}`],
  ["an older secret key in the query", "unknown-key", LEAKED, [], `?key=${KEY}`],
  ["the same secret key in the query", "unknown-key", LEAKED, [`x-api-key: ${KEY}`], `?key=${KEY}`],
  ["another secret key in the query", "unknown-key", LEAKED, [`x-api-key: ${KEY}`], `?key=${NEW_KEY}`],
  ["what is not ours in the query, and no header", "unknown-key", LEAKED, [], "?key=order-7"],
  ["a secret key after a public one", "unknown-key", LEAKED, [], `?key=${PUBLIC_KEY}&key=${NEW_KEY}`],
  ["a public key in the environment", "unknown-key", /public/, [`x-api-key: ${PUBLIC_IN_ENVIRONMENT}`]],
  [
    "a public key in the environment, in the query",
    "unknown-key",
    /public/,
    [],
    `?key=${PUBLIC_IN_ENVIRONMENT}`,
  ],
])("401, and nothing is kept: %s", async (_how, code, detail, lines, query) => {
  const { status, headers, body } = await ask(lines, query);
  expect([status, JSON.parse(body)]).toEqual([401, expect.objectContaining({ status: 401, code })]);
  expect((JSON.parse(body) as { detail: string }).detail).toMatch(detail);
  expect(headers.get("www-authenticate")).toBe(
    'Bearer realm="spillway", Basic realm="spillway", charset="UTF-8"',
  );
});

test("a look-up takes the same ways", async () => {
  for (const lines of [[`x-api-key: ${KEY}`], [basic(`x:${KEY}`)], [`authorization: Bearer ${KEY}`]])
    expect((await ask(lines, "?id=1", "GET /v1/events")).status).toBe(200);
  expect((await ask([], `?id=1&key=${NEW_KEY}`, "GET /v1/events")).status).toBe(401);
  expect((await ingest.send("/v1/events?id=1", { method: "HEAD" })).status).toBe(401);
});

test("no key is in an answer or in the log, whatever fails", async () => {
  const keys = [KEY, NEW_KEY, PUBLIC_KEY, UNKNOWN_KEY];
  const answers: RawAnswer[] = [];
  for (const key of keys)
    for (const query of [
      `?key=${key}`,
      `?key=${key}&ack=sorted`,
      `?key=${key}&${key}=stored`,
      `?key=${key}&key=x`,
    ])
      for (const start of [
        "POST /v1/events",
        "POST /v1/nowhere",
        "GET /v1/events",
        "PUT /v1/events",
        "POST /nowhere",
      ])
        answers.push(await ask([], query, start), await ask([`x-api-key: ${key}`], query, start));
  world.upstash.setFault(() => ({ kind: "refuse" }));
  world.neon.setFault(() => ({ kind: "refuse" }));
  answers.push(await ask([], `?key=${PUBLIC_KEY}`));
  world.upstash.setFault(undefined);
  world.neon.setFault(undefined);
  const failing = await serveIngest(world, {
    apiKeys: [publicKey("page", PUBLIC_KEY)],
    isShedding: async () => {
      throw new Error("a bug");
    },
  });
  const failed = await fetch(`${failing.url}/v1/events?key=${PUBLIC_KEY}`, {
    method: "POST",
    headers: { "content-type": "text/plain" },
    body: '{"type":"t","payload":1}',
  });
  expect(failed.status).toBe(500);
  await failing.close();
  const seen = JSON.stringify([
    answers.map(({ headers, body }) => [...headers, body]),
    [...failed.headers],
    await failed.text(),
    world.said,
  ]);
  expect(keys.filter((key) => seen.includes(key))).toEqual([]);
});
