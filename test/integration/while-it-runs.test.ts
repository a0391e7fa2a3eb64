/** What `npm start` says while it runs, and how it takes up streams that change. The first lines and the end: start.test.ts. */
import { execFileSync } from "node:child_process";
import { randomUUID } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, renameSync, unlinkSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Redis } from "ioredis";
import pg from "pg";
import { expect, test } from "vitest";
import { freeBase } from "../free-base.ts";
import {
  addStreams,
  folder,
  type Run,
  type StackFile,
  stackFile,
  start,
  stop,
  untilReady,
} from "./npm-start.ts";
import { isAlive } from "./test-stack.ts";

/** The lines that are printed while it runs, without their time. */
function linesOf(run: Run): string[] {
  const [, after = ""] = run.said().split("Ctrl-C stops everything.\n\n");
  return after
    .split("\n")
    .slice(0, -1)
    .map((line) => line.replace(/^\d\d:\d\d:\d\d /, ""));
}

async function until(isSo: () => boolean | Promise<boolean>, what: () => string): Promise<void> {
  for (let tries = 0; tries < 1200; tries++) {
    if (await isSo()) return;
    await sleep(50);
  }
  throw new Error(`expected ${what()}`);
}

const untilLine = (run: Run, pattern: RegExp, times = 1): Promise<void> =>
  until(
    () => linesOf(run).filter((line) => pattern.test(line)).length >= times,
    () => `${pattern} ${times} times in:\n${run.said()}`,
  );

/** Until so many more ticks have looked into the buffer, whatever they found. */
async function untilTicks({ redisUrl }: StackFile, count: number): Promise<void> {
  const redis = new Redis(redisUrl);
  const looks = async () =>
    Number(/cmdstat_exists:calls=(\d+)/.exec(await redis.info("commandstats"))?.[1] ?? 0);
  const before = await looks();
  await until(
    async () => (await looks()) >= before + count,
    () => `${count} ticks`,
  );
  redis.disconnect();
}

async function query(stack: StackFile, sql: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: stack.databaseUrl });
  await client.connect();
  const { rows } = await client.query(sql).finally(() => client.end());
  return rows as Record<string, unknown>[];
}

/** Until each accepted event is stored, and no other one: each id once, in the table. */
async function untilConserved(stack: StackFile, table: string, accepted: readonly string[]): Promise<void> {
  const ids = async () => (await query(stack, `select id from ${table}`)).map(({ id }) => String(id)).sort();
  const all = [...accepted].sort();
  await until(
    async () => (await ids()).length >= all.length,
    () => `${all.length} rows in ${table}`,
  );
  expect(await ids()).toEqual(all);
  expect(await query(stack, "select id from dead_letters")).toEqual([]);
}

const post = (stack: StackFile, path: string, body: unknown, key = stack.apiKey): Promise<Response> =>
  fetch(`${stack.ingestUrl}/v1/${path}`, {
    method: "POST",
    headers: { ...(key && { authorization: `Bearer ${key}` }), "content-type": "application/json" },
    body: JSON.stringify(body),
  });

/** Empties the tables, so that the events of one test are counted alone. */
const forgetEvents = (stack: StackFile) => query(stack, "truncate visits, zebras, dead_letters");

test("while it runs it prints a line for each refusal, sums for each second, and nothing when nothing comes", async () => {
  addStreams();
  const run = start(await freeBase());
  const stack = await untilReady(run);
  await forgetEvents(stack);
  await untilTicks(stack, 3);
  expect(linesOf(run)).toEqual([]); // an idle system says nothing

  const accepted: string[] = [];
  for (const said of [1, 2, 3]) {
    const answer = await post(stack, "visits", [{ said }, { said }]);
    accepted.push(...((await answer.json()) as { ids: string[] }).ids);
  }
  const waited = await post(stack, "visits?ack=stored", { said: 4 });
  accepted.push(...((await waited.json()) as { ids: string[] }).ids);
  await untilLine(run, /^ingest {3}/);
  const sumOf = (pattern: RegExp) =>
    linesOf(run).reduce((sum, line) => sum + Number(pattern.exec(line)?.[1] ?? 0), 0);
  await until(
    () => sumOf(/^ingest {3}(\d+) accepted in 1 s: visits \d+$/) === 7,
    () => `7 accepted in:\n${run.said()}`,
  );
  await untilLine(run, /^drain {4}visits: \d+ stored in \d+ batch(es)? {2}\(\d+ ms\)$/);

  const refusals = async (...expected: string[]) => {
    for (const line of expected)
      await until(
        () => linesOf(run).includes(line),
        () => `"${line}" in:\n${run.said()}`,
      );
  };
  await post(stack, "visits", { said: 1, hunter2: "secret-value" });
  await post(stack, "nowhere?token=secret", { said: 1 });
  await post(stack, "visits", [{ said: 5, id: "secret-id" }, { sad: "secret-value" }]).then(async (answer) =>
    accepted.push(...((await answer.json()) as { ids: string[] }).ids),
  );
  await refusals(
    "refused  POST /v1/visits  422 invalid-event  no event is valid; *: is not a field of this stream",
    "refused  POST /v1/nowhere  404 unknown-stream  There is no such stream",
    "refused  POST /v1/visits  202 invalid-event  1 of 2 events; said: expected a JSON value",
  );
  const garbage = connect(Number(new URL(stack.ingestUrl).port), "127.0.0.1");
  garbage.end("secret garbage\r\n\r\n");
  await refusals("refused  what is no request  400 malformed-request  expected a request of HTTP/1.1");
  await untilConserved(stack, "visits", accepted);

  expect(run.said()).not.toMatch(/secret|hunter2/);
  expect(linesOf(run).join("\n")).not.toContain(stack.apiKey.slice(4));
  expect(run.said()).not.toContain("\u001b"); // no colours and no cursor moves without a terminal

  // A storm: each refusal is in a line or in a sum, and the lines are few.
  const begun = linesOf(run).length;
  const storm = async () => {
    for (let i = 0; i < 50; i++) await (await post(stack, "visits", {}, "")).arrayBuffer();
  };
  await Promise.all(Array.from({ length: 20 }, storm));
  const told = () =>
    linesOf(run)
      .slice(begun)
      .filter((line) => line.startsWith("refused  POST /v1/visits  401 missing-key"));
  const sums = () =>
    linesOf(run)
      .slice(begun)
      .flatMap((line) => /^refused {2}and (\d+) more: missing-key (\d+)$/.exec(line)?.[1] ?? []);
  await until(
    () => told().length + sums().reduce((sum, one) => sum + Number(one), 0) === 1000,
    () => `1000 refusals, told or summed, in:\n${run.said()}`,
  );
  expect(told().length).toBeLessThanOrEqual(5 * (sums().length + 1));
  await stop(run);
}, 120_000);

test("what keeps events from being stored is told when it begins and when it ends", async () => {
  addStreams();
  const run = start(await freeBase());
  const stack = await untilReady(run);
  await forgetEvents(stack);
  await query(stack, "alter table visits rename to visits_away");
  const { ids } = (await (await post(stack, "visits", { said: 1 })).json()) as { ids: string[] };
  await untilLine(run, /^drain {4}visits: events wait: .*SQLSTATE 42P01/);
  await untilTicks(stack, 4);
  const stops = () => linesOf(run).filter((line) => line.includes("events wait"));
  expect(stops()).toHaveLength(1);
  await query(stack, "alter table visits_away rename to visits");
  await untilLine(run, /^drain {4}visits: the drain goes on$/);
  await untilConserved(stack, "visits", ids);
  expect(stops()).toHaveLength(1);
  await stop(run);
}, 120_000);

const streamFile = (name: string) => join(folder, `lib/streams/${name}.ts`);

/** Declares a stream that refuses one word, so that the word tells which declaration runs. */
const declarationOf = (
  name: string,
  word: string,
  more = "",
) => `import { jsonb, pgTable } from "drizzle-orm/pg-core";
  import { z } from "zod";
  import { defineStream, eventColumns, json } from "../schema/stream.ts";
  ${more}
  export const table = pgTable("${name}", { ...eventColumns(), said: jsonb("said").notNull() });
  const said = json().refine((one) => one !== ${word}, "is taken");
  export default defineStream({ name: "${name}", table, schema: z.strictObject({ said }) });\n`;

/** Saves as many editors do: under another name first. */
function saveByRename(file: string, text: string): void {
  writeFileSync(`${file}~`, text);
  renameSync(`${file}~`, file);
}

/** Posts without a pause, each event until it is acknowledged, and each under one id. Returns the ids. */
function postOn(stack: StackFile, stream: string) {
  const acknowledged: string[] = [];
  let isEnding = false;
  const posting = (async () => {
    while (!isEnding) {
      const id = randomUUID();
      for (let status = 0; status !== 202; ) {
        status = await post(stack, stream, { id, said: "on" }).then(
          async (answer) => {
            await answer.arrayBuffer();
            return answer.status;
          },
          () => 0, // nobody listened, or the connection ended: nothing was acknowledged
        );
        if (status !== 202) await sleep(20);
      }
      acknowledged.push(id);
    }
  })();
  return {
    end: async () => {
      isEnding = true;
      await posting;
      return acknowledged;
    },
  };
}

test("streams that change are checked and taken up, and nothing that is acknowledged meanwhile is lost", async () => {
  addStreams();
  const run = start(await freeBase());
  const stack = await untilReady(run);
  await forgetEvents(stack);
  const posting = postOn(stack, "visits");
  const takesUp = / both functions run it now \(\d+\.\d s\)$/;
  let taken = 0;
  const untilTaken = async (changes: string) => {
    taken += 1;
    await untilLine(run, takesUp, taken);
    const lines = linesOf(run).filter((line) => takesUp.test(line));
    expect(lines.at(-1)?.replace(takesUp, "")).toBe(`streams  ${changes}:`);
    expect(lines).toHaveLength(taken);
  };
  const refused = async (word: string) =>
    (await post(stack, "zebras?ack=stored", { said: word })).status === 422;

  saveByRename(streamFile("zebras"), declarationOf("zebras", '"one"')); // an editor's atomic save
  await untilTaken("lib/streams/zebras.ts changed");
  expect([await refused("one"), await refused("two")]).toEqual([true, false]);
  const now = JSON.parse(readFileSync(stackFile, "utf8")) as StackFile;
  expect([now.pids.ingest, now.pids.supervisor].map(isAlive)).toEqual([true, true]);
  expect([stack.pids.ingest, stack.pids.supervisor].map(isAlive)).toEqual([false, false]);
  expect([now.pids.redis, now.pids.postgres]).toEqual([stack.pids.redis, stack.pids.postgres]);

  // A file that imports another one, and then only that one changes.
  mkdirSync(join(folder, "lib/streams/parts"));
  const word = join(folder, "lib/streams/parts/word.ts");
  writeFileSync(word, 'export const word: string = "two";\n');
  writeFileSync(
    streamFile("zebras"),
    declarationOf("zebras", "word", 'import { word } from "./parts/word.ts";'),
  );
  await untilTaken("lib/streams/parts/word.ts added, lib/streams/zebras.ts changed");
  writeFileSync(word, 'export const word: string = "three";\n');
  await untilTaken("lib/streams/parts/word.ts changed");
  expect([await refused("two"), await refused("three")]).toEqual([false, true]);

  // Two saves, the second while the first is checked: the last one runs, and it alone.
  const builds = join(folder, ".local/functions");
  const before = readdirSync(builds).length;
  writeFileSync(word, 'export const word: string = "four";\n');
  await until(
    () => readdirSync(builds).length > before,
    () => "a build to begin",
  );
  writeFileSync(word, 'export const word: string = "five";\n');
  await untilTaken("lib/streams/parts/word.ts changed");
  expect([await refused("four"), await refused("five")]).toEqual([false, true]);

  const asTheyWere = / the functions go on as they were$/;
  const pids = (JSON.parse(readFileSync(stackFile, "utf8")) as StackFile).pids;
  writeFileSync(word, "export const word: string = 6;\n");
  await untilLine(run, asTheyWere);
  expect(linesOf(run)).toContain(
    "lib/streams/parts/word.ts(1,14): error TS2322: Type 'number' is not assignable to type 'string'.",
  );
  writeFileSync(word, 'export const word: string = "six";\nthrow new Error("thrown at import");\n');
  await untilLine(run, asTheyWere, 2);
  expect(linesOf(run)).toContain("Error: thrown at import");
  writeFileSync(streamFile("none"), "export default 1;\n");
  writeFileSync(word, 'export const word: string = "seven";\n');
  await untilLine(run, asTheyWere, 3);
  expect(linesOf(run).join("\n")).toMatch(/none\.ts: expected a default export made by defineStream/);
  expect((JSON.parse(readFileSync(stackFile, "utf8")) as StackFile).pids).toEqual(pids);
  expect([await refused("five"), await refused("seven")]).toEqual([true, false]);
  unlinkSync(streamFile("none"));
  await untilTaken("lib/streams/parts/word.ts changed");
  expect([await refused("five"), await refused("seven")]).toEqual([false, true]);

  // A new file: the next commands are printed, and nothing is done by itself.
  const migrations = () => readdirSync(join(folder, "drizzle/migrations")).sort();
  const made = migrations();
  saveByRename(streamFile("horses"), declarationOf("horses", '"no"'));
  await untilTaken("lib/streams/horses.ts added");
  await untilLine(
    run,
    /^streams {2}horses: table horses is missing; npm run db:generate .*, npx spillway migrate /,
  );
  expect(migrations()).toEqual(made);
  const horse = await post(stack, "horses", { said: "neigh" });
  expect(horse.status).toBe(202);
  const horses = ((await horse.json()) as { ids: string[] }).ids;
  execFileSync("npm", ["run", "--silent", "db:generate"], { cwd: folder });
  const env = { PATH: process.env.PATH, HOME: process.env.HOME };
  execFileSync("npx", ["spillway", "migrate"], { cwd: folder, env });
  await untilConserved(stack, "horses", horses);

  renameSync(streamFile("horses"), streamFile("mares"));
  await untilTaken("lib/streams/horses.ts deleted, lib/streams/mares.ts added");
  unlinkSync(streamFile("mares"));
  await untilTaken("lib/streams/mares.ts deleted");
  expect((await post(stack, "horses", { said: "neigh" })).status).toBe(404);

  const crashing = (JSON.parse(readFileSync(stackFile, "utf8")) as StackFile).pids.ingest;
  process.kill(crashing, "SIGKILL"); // what is started again is the last build
  await until(
    () => (JSON.parse(readFileSync(stackFile, "utf8")) as StackFile).pids.ingest !== crashing,
    () => "another ingest",
  );
  expect(await refused("seven")).toBe(true);

  const acknowledged = await posting.end();
  expect(acknowledged.length).toBeGreaterThan(0);
  await untilConserved(stack, "visits", acknowledged);
  const last = (JSON.parse(readFileSync(stackFile, "utf8")) as StackFile).pids;
  await stop(run);
  expect(Object.values(last).filter(isAlive)).toEqual([]);
}, 300_000);
