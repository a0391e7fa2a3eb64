/**
 * `npm start` itself, in a copy of the project without streams and then with some: what it writes, what it says at first, what it leaves
 * behind. While it runs: while-it-runs.test.ts.
 */
import { execFileSync, spawn } from "node:child_process";
import { existsSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import { expect, test } from "vitest";
import { freeBase } from "../free-base.ts";
import { addStreams, folder, type StackFile, stackFile, start, stop, untilReady } from "./npm-start.ts";
import { isAlive } from "./test-stack.ts";

test("without streams it starts, says how to add one, and every answer says that there is none", async () => {
  const run = start(await freeBase());
  const stack = await untilReady(run);
  expect(run.said()).toContain("No stream takes events: declare one in a file of lib/streams/");
  expect(run.said()).not.toContain("curl");
  expect(run.said()).toMatch(/\nSpillway is ready in \d+\.\d s\n/);
  expect(run.said()).toContain(`key          ${stack.apiKey}\n`);
  expect(/https?:\S+/.exec(run.said())?.[0]).toBe(stack.consoleUrl); // before any other address
  expect(await (await fetch(stack.consoleUrl)).text()).toContain("<title>Spillway</title>");

  const headers = { authorization: `Bearer ${stack.apiKey}`, "content-type": "application/json" };
  const posted = await fetch(`${stack.ingestUrl}/v1/events`, { method: "POST", headers, body: "{}" });
  expect([posted.status, await posted.json()]).toMatchObject([
    404,
    { detail: 'no stream is named "events"; this key may use no stream', streams: [] },
  ]);
  const anonymous = await fetch(`${stack.ingestUrl}/v1/any`, { method: "POST", body: "{}" });
  expect(anonymous.status).toBe(401); // the key before the stream: so asks the deployment's smoke test
  const drained = await fetch(`${stack.supervisorUrl}/drain`, { method: "POST" });
  expect([drained.status, await drained.json()]).toMatchObject([200, { streams: [] }]);
  const status = await fetch(`${stack.supervisorUrl}/status`);
  expect([status.status, await status.json()]).toEqual([200, { streams: [] }]);

  const sql = new pg.Client({ connectionString: stack.databaseUrl });
  await sql.connect();
  const letter =
    "insert into dead_letters (stream, id, envelope, reason, burials) values ('gone', gen_random_uuid(), '{}', 'because', 1)";
  await sql.query(letter); // of a stream that was taken away
  const env = { PATH: process.env.PATH, HOME: process.env.HOME }; // no servers: those of the running npm start
  const npm = (...args: string[]) =>
    execFileSync("npm", ["run", "--silent", ...args], { cwd: folder, env, encoding: "utf8", stdio: "pipe" });
  expect(npm("dead-letters", "--", "list")).toMatch(/1 +gone .*because/);
  expect(npm("dead-letters", "--", "purge", "--all-letters", "--yes")).toContain("1 letter purged");
  expect(npm("drain")).toContain("outcome");
  expect(npm("status")).toContain("The buffer is empty.");

  await sql.query("drop table drizzle.spillway_migrations"); // as a version without it has left it
  await sql.end();
  await stop(run);
  const old = start(await freeBase());
  expect(await old.ended).toBe(1);
  expect(old.said()).toMatch(
    /\nThis database holds dead_letters from an earlier layout .* delete the folder \.local\/.*\n$/,
  );
  expect(old.said()).not.toContain("    at "); // no stack trace
  rmSync(join(folder, ".local"), { recursive: true });
}, 120_000);

test("one command starts everything; Ctrl-C leaves no process behind; a second start finds the same data", async () => {
  addStreams();
  const base = await freeBase();
  const first = start(base);
  const stack = await untilReady(first);
  const pasted = spawn("sh", ["-c", /curl .*\/v1\/visits .*\n/.exec(first.said())?.[0] ?? "false"]);
  let answer = "";
  pasted.stdout.on("data", (chunk) => (answer += String(chunk)));
  await new Promise((resolve) => pasted.once("exit", resolve));
  const [id] = (JSON.parse(answer) as { ids: string[] }).ids;
  await fetch(`${stack.supervisorUrl}/drain`, { method: "POST" });
  const query = /psql (\S+) -c '(.*)'\n/.exec(first.said()) ?? [];
  const sql = new pg.Client({ connectionString: query[1] });
  await sql.connect();
  expect((await sql.query(query[2] ?? "")).rows).toMatchObject([{ id, said: `it's "$HOME" ä` }]);
  // The command line finds servers and key of the running stack by itself, from wherever in the checkout it is called.
  const env = { PATH: process.env.PATH, HOME: process.env.HOME };
  const spillway = (...args: string[]) =>
    execFileSync("npx", ["spillway", ...args], {
      cwd: join(folder, "lib"),
      env,
      encoding: "utf8",
      input: '{"said":2}',
    });
  const [, sent = "", sendTo = ""] =
    /printf '%s\\n' '(.*)' \| npx spillway send (\S+)\n/.exec(first.said()) ?? [];
  expect([sendTo, sent]).toEqual(["visits", `{"said":"it'\\''s \\"$HOME\\" ä"}`]);
  expect(first.said()).toContain("npx spillway doctor\n");
  expect(spillway("send", "visits")).toBe("1 event accepted, 0 rejected.\n");
  expect(spillway("drain", "--wait")).toMatch(/^visits +empty /m);
  expect((await sql.query("select said from visits order by received_at")).rows).toEqual([
    { said: `it's "$HOME" ä` },
    { said: 2 },
  ]);
  expect(spillway("keys", "create", "made")).toMatch(/^spw_\S+\n$/);
  await sql.end();

  process.kill(-(first.child.pid ?? 0), "SIGINT"); // Ctrl-C reaches the whole group
  await first.ended;
  expect(existsSync(stackFile)).toBe(false);
  expect(Object.values(stack.pids).filter(isAlive)).toEqual([]);

  const second = start(base);
  const again = await untilReady(second);
  expect(again.apiKey).toBe(stack.apiKey);
  const third = start(await freeBase());
  expect(await third.ended).toBe(1);
  expect(third.said()).toMatch(/Spillway is already running here as process \d+: stop it first/);
  const found = await fetch(`${again.ingestUrl}/v1/visits/${id}`, {
    headers: { authorization: `Bearer ${again.apiKey}` },
  });
  expect([found.status, await found.json()]).toEqual([200, { id, status: "stored" }]);

  process.kill(again.pids.ingest, "SIGKILL"); // is started again, as Cloud Run would
  for (let tries = 0; tries < 200; tries++) {
    await sleep(50);
    const now = existsSync(stackFile) ? (JSON.parse(readFileSync(stackFile, "utf8")) as StackFile) : again;
    if (now.pids.ingest !== again.pids.ingest) break;
  }
  expect((await fetch(`${again.ingestUrl}/health`)).status).toBe(200);

  second.child.kill("SIGTERM"); // to npm alone
  await second.ended;
  for (let tries = 0; tries < 100 && Object.values(again.pids).some(isAlive); tries++) await sleep(100);
  expect(Object.values(again.pids).filter(isAlive)).toEqual([]);
}, 180_000);

test("a port that is taken is one clear sentence and nothing left behind", async () => {
  const base = await freeBase();
  const blocker = createServer();
  await new Promise<void>((resolve) => blocker.listen(base + 1, "127.0.0.1", resolve));
  const run = start(base);
  expect(await run.ended).not.toBe(0);
  expect(run.said()).toContain(`Port ${base + 1}`);
  expect(run.said()).not.toContain("    at "); // no stack trace
  expect(existsSync(stackFile)).toBe(false);
  blocker.close();
}, 60_000);
