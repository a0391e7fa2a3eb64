/** `spillway keys` on real servers: a key that is printed once is taken by ingest, and refused once it is revoked. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { runSpillway } from "./run-spillway.ts";
import { openWholeStack, type WholeStack } from "./whole-stack.ts";

let whole: WholeStack;
beforeAll(async () => {
  whole = await openWholeStack(3_600_000);
});
beforeEach(async () => void (await whole.servers.sql.query("truncate events")));
afterAll(() => whole.close());

const keys = (...args: string[]) =>
  runSpillway(["keys", ...args], { env: { SUPERVISOR_URL: whole.stack.supervisorUrl } });

const post = async (key: string, stream = "events") => {
  const response = await fetch(`${whole.stack.ingestUrl}/v1/${stream}`, {
    method: "POST",
    headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
    body: JSON.stringify({ type: "t", payload: {} }),
  });
  return { status: response.status, body: (await response.json()) as { ids?: string[]; code?: string } };
};

/** Resolves when ingest answers a key so: an instance's copy is at most five seconds old. */
async function untilStatus(key: string, status: number, stream = "events"): Promise<string[]> {
  const ids: string[] = [];
  for (let tries = 0; tries < 200; tries++) {
    const { status: got, body } = await post(key, stream);
    ids.push(...(body.ids ?? []));
    if (got === status) return ids;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`expected ${status}`);
}

test("a key is made, listed, rotated and revoked, and what it posted is stored once", async () => {
  const { stdout: key, stderr } = await promisify(execFile)(
    "sh",
    [
      "-c",
      'printf %s "$("$0" bin/spillway.mjs keys create shop --streams events --rate 500 --expires 90d)"',
      process.execPath,
    ],
    { env: { ...process.env, SUPERVISOR_URL: whole.stack.supervisorUrl } },
  );
  expect(key).toMatch(/^spw_[A-Za-z0-9_-]+$/);
  expect(stderr).toMatch(/^This is the key "shop"\. It is shown this once/);
  expect(stderr).not.toContain(key);
  const ids = await untilStatus(key, 202);
  expect((await post(key, "leads")).body.code).toBe("stream-not-allowed");

  const list = await keys("list");
  expect(list.out).toMatch(/^shop +\w+ +live +secret +events +500 +– +\d{4}-\d\d-\d\d +\d{4}-\d\d-\d\d +–$/m);
  expect(list.out).not.toContain(key);
  const { keys: listed } = JSON.parse((await keys("list", "--json")).out);
  expect(listed).toMatchObject([{ name: "shop", streams: ["events"], eventsPerSecond: 500 }]);

  const again = await keys("create", "shop");
  expect(again).toMatchObject({ code: 1, out: "", err: expect.stringContaining('"shop": rotate it') });
  const rotated = await keys("rotate", "shop", "--overlap", "1h", "--json");
  const { key: next } = JSON.parse(rotated.out) as { key: string };
  expect([rotated.code, next === key]).toEqual([0, false]);
  ids.push(...(await untilStatus(next, 202)), ...(await untilStatus(key, 202)));

  const revoked = await keys("revoke", "shop");
  expect(revoked).toMatchObject({
    code: 0,
    out: expect.stringMatching(/^2 keys of "shop" revoked\.\nRunning instances refuse/),
  });
  for (const one of [key, next]) ids.push(...(await untilStatus(one, 401)));
  await whole.drainAll();
  const { rows } = await whole.servers.sql.query("select id from events");
  expect(rows.map(({ id }: { id: string }) => id).sort()).toEqual(ids.sort());
}, 120_000);

test("a stream of Spillway's own is for a key that names it, which is not listed once it is revoked", async () => {
  const { key: all } = JSON.parse((await keys("create", "all", "--json")).out) as { key: string };
  await untilStatus(all, 202);
  expect((await post(all, "spillway_rollouts")).body.code).toBe("stream-not-allowed");
  const made = await keys("create", "smoke-test", "--streams", "spillway_rollouts", "--json");
  const { key } = JSON.parse(made.out) as { key: string };
  await untilStatus(key, 422, "spillway_rollouts");
  expect((await keys("list")).out).toMatch(/^smoke-test .* live/m);
  for (const name of ["smoke-test", "all"]) await keys("revoke", name);
  expect((await keys("list")).out).not.toContain("smoke-test");
  expect((await keys("list")).out).toMatch(/^all .* revoked/m);
  await whole.drainAll();
});

test("a public key has its streams and origins", async () => {
  const made = await keys(
    ...[
      "create",
      "page",
      "--public",
      "--streams",
      "events",
      "--origins",
      "https://a.example,https://b.example",
    ],
    ...["--per-address", "5"],
  );
  expect(made).toMatchObject({ code: 0, out: expect.stringMatching(/^spw_pub_\S+\n$/) });
  expect((await keys("list")).out).toMatch(
    /^page .* public +events +– +https:\/\/a\.example,https:\/\/b\.example /m,
  );
});

test.each([
  [["create"], 2, /expected the key's name/],
  [["create", "x", "--origins", "https://a.example"], 2, /--origins is for public keys: add --public/],
  [["create", "x", "--rate", "many"], 2, /--rate: expected a whole number/],
  [["create", "x", "--overlap", "1d"], 2, /--overlap is for rotate/],
  [["create", "x y"], 1, /name: expected a name of 1 to 64 letters/],
  [["create", "x", "--streams", "nope"], 1, /no stream is named "nope"/],
  [["create", "x", "--expires", "soon"], 1, /expires: expected a length of time/],
  [["rotate", "nobody"], 1, /no live key is named "nobody"/],
  [["revoke", "nobody"], 1, /no live key is named "nobody"/],
  [["reovke", "x"], 2, /expected create, list, rotate or revoke, got "reovke"; did you mean revoke\?/],
])("keys %j is exit status %i and a sentence", async (args, code, says) => {
  const run = await keys(...args);
  expect(run).toMatchObject({ code, out: "", err: expect.stringMatching(says) });
  expect(run.err).not.toMatch(/\n\s+at /);
});
