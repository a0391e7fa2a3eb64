/** What becomes of a key while its request's body is on its way, which may take 45 s: it counts as it is when the events would be accepted. */
import { request } from "node:http";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { type KeyCommands, serveKeyCommands } from "./key-commands.ts";
import { type Ingest, serveIngest } from "./test-ingest.ts";
import { expectConserved, KEY, openWorld, type World } from "./test-stack.ts";

let world: World;
let keys: KeyCommands;
let ingest: Ingest;
/** Milliseconds that are added to the clock by which the copy ages, and to the one by which keys expire. */
let pausedMs = 0;
let laterMs = 0;
beforeAll(async () => {
  world = await openWorld();
  keys = await serveKeyCommands(world);
  ingest = await serveIngest(world, {
    keysMonotonicMs: () => performance.now() + pausedMs,
    keysNow: () => Date.now() + laterMs,
  });
});
beforeEach(async () => {
  await world.reset();
  pausedMs += 60_000;
  laterMs = 0;
});
afterAll(async () => {
  await ingest.close();
  await keys.close();
  await world.close();
});

/** Posts an event of which the second half comes after `between`. When that begins, ingest has found the key. */
function postSlowly(
  key: string,
  between: () => Promise<unknown>,
): Promise<{ status: number; code?: string; ids?: string[] }> {
  const body = JSON.stringify({ n: 1 });
  return new Promise((resolve, reject) => {
    const req = request(`${ingest.url}/v1/checked`, {
      method: "POST",
      headers: {
        ...{ authorization: `Bearer ${key}`, "content-type": "application/json" },
        ...{ "content-length": body.length, expect: "100-continue" },
      },
    });
    req.once("continue", () => {
      req.write(body.slice(0, 3));
      between().then(() => req.end(body.slice(3)), reject);
    });
    req.once("response", async (res) => {
      let text = "";
      for await (const piece of res) text += piece;
      resolve({ ...JSON.parse(text), status: res.statusCode });
    });
    req.once("error", reject).flushHeaders();
  });
}

/** Has the instance take a copy now. */
const takeCopy = async (key: string): Promise<string[]> => {
  pausedMs += 60_000;
  const { status, body } = await ingest.post("checked", { n: 1 }, { key });
  expect(status).toBe(202);
  return body.ids;
};

test("a key that is revoked meanwhile is refused once the copy is 5 s old", async () => {
  const key = await keys.create("app");
  const accepted = await takeCopy(key);
  const answer = await postSlowly(key, async () => {
    await keys.revoke("app");
    pausedMs += 5001;
  });
  expect(answer).toMatchObject({ status: 401, code: "unknown-key" });
  await expectConserved(world, "checked", accepted);
});

test("so is one that was confirmed when its request came", async () => {
  const key = await keys.create("app");
  const accepted = await takeCopy(key);
  pausedMs += 5001;
  const answer = await postSlowly(key, async () => {
    accepted.push(...(await ingest.post("checked", { n: 1 }, { key })).body.ids);
    await keys.revoke("app");
    pausedMs += 5001;
  });
  expect(answer).toMatchObject({ status: 401, code: "unknown-key" });
  await expectConserved(world, "checked", accepted);
});

test("so is one of which another request has heard that it is revoked", async () => {
  const key = await keys.create("app");
  const accepted = await takeCopy(key);
  const answer = await postSlowly(key, async () => {
    await keys.revoke("app");
    pausedMs += 5001;
    expect((await ingest.post("checked", { n: 1 }, { key })).status).toBe(401);
  });
  expect(answer).toMatchObject({ status: 401, code: "unknown-key" });
  await expectConserved(world, "checked", accepted);
});

test("a key that expires meanwhile is refused", async () => {
  const key = await keys.create("app", { expires: "1h" });
  const accepted = await takeCopy(key);
  const answer = await postSlowly(key, async () => {
    laterMs = 3_600_000;
  });
  expect(answer).toMatchObject({ status: 401, code: "expired-key" });
  await expectConserved(world, "checked", accepted);
});

test("a key that is still good is accepted: also while Redis is away, and one of the environment without a question", async () => {
  const key = await keys.create("app");
  const accepted = await takeCopy(key);
  const wait = async () => {
    pausedMs += 60_000;
  };
  for (const isAway of [false, true]) {
    world.upstash.setFault(({ commands }) =>
      isAway && commands.join().includes("{spillway}:keys") ? { kind: "refuse" } : undefined,
    );
    const { status, ids = [] } = await postSlowly(key, wait);
    expect(status).toBe(202);
    accepted.push(...ids);
  }
  let asked = 0;
  world.upstash.setFault(({ commands }) => {
    if (commands.join().includes("{spillway}:keys")) asked += 1;
    return undefined;
  });
  const { status, ids = [] } = await postSlowly(KEY, wait);
  expect([status, asked]).toEqual([202, 0]);
  await expectConserved(world, "checked", [...accepted, ...ids]);
});
