/** `spillway pause` and `spillway resume` in processes of their own, against a supervisor on real servers. */
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { createSupervisor } from "../../functions/supervisor.ts";
import { runSpillway } from "./run-spillway.ts";
import { expectConserved, openWorld, pushEvents, type World } from "./test-stack.ts";

let world: World;
let served: Awaited<ReturnType<World["serve"]>>;
beforeAll(async () => {
  world = await openWorld();
  served = await world.serve(createSupervisor(world.supervisor()));
});
beforeEach(() => world.reset());
afterAll(async () => {
  await served.close();
  await world.close();
});

const run = (...args: string[]) => runSpillway(args, { env: { SUPERVISOR_URL: served.url } });
const TIME = "\\d{4}-\\d\\d-\\d\\d \\d\\d:\\d\\d:\\d\\d UTC";

test("a stream is paused, prolonged, shown and resumed, and its events are stored once", async () => {
  const ids = await pushEvents(world, { stream: "checked", index: 2 }, [{ n: 1 }, { n: 2 }]);
  const paused = await run("pause", "checked", "--for", "2h", "--why", "a new column");
  expect([paused.code, paused.err]).toEqual([0, ""]);
  expect(paused.out).toMatch(
    new RegExp(`^checked is paused until ${TIME}, since ${TIME} \\(a new column\\)\\.\\n.*ack=stored.*\\n$`),
  );
  const drained = await run("drain", "checked");
  expect(drained.out).toContain("checked: another drain call holds a partition, or the stream is paused;");

  const status = await run("status");
  expect(status.out).toMatch(/^checked\/2 +2 +the stream is paused$/m);
  expect(status.out).toMatch(
    new RegExp(`\\nchecked is paused until ${TIME}, since ${TIME} \\(a new column\\)\\.\\n`),
  );
  expect((await run("doctor")).out).toMatch(
    /checked is paused until .*: 2 events wait[\s\S]*spillway resume checked$/m,
  );

  const again = await run("pause", "checked");
  expect(again.out).toMatch(
    new RegExp(
      `^checked is paused until ${TIME}, since ${TIME}\\. Before, it was paused until ${TIME}, .*\\(a new column\\)\\.\\n`,
    ),
  );
  const { paused: now, replaced } = JSON.parse((await run("pause", "checked", "--for", "30s", "--json")).out);
  expect(Date.parse(now.until)).toBeLessThan(Date.parse(replaced.until));

  const resumed = await run("resume", "checked");
  expect(resumed).toMatchObject({ code: 0, err: "" });
  expect(resumed.out).toMatch(
    new RegExp(
      `^checked is drained\\. It was paused until ${TIME}, since ${TIME}\\.\\nThe next tick drains it\\.\\n$`,
    ),
  );
  expect(await run("resume", "checked")).toEqual({
    ...{ code: 0, err: "" },
    out: "checked is drained.\nIt was not paused, and nothing changed.\n",
  });
  expect(JSON.parse((await run("resume", "checked", "--json")).out)).toMatchObject({
    ended: null,
    paused: null,
  });
  expect((await run("status")).out).not.toContain("is paused");
  await run("drain", "checked");
  await expectConserved(world, "checked", ids);
}, 60_000);

test.each(["0", "25h", "soon", "-1h"])("--for=%s is one sentence, and asks nobody", async (text) => {
  const nowhere = { SUPERVISOR_URL: "http://127.0.0.1:9" };
  expect(await runSpillway(["pause", "checked", `--for=${text}`], { env: nowhere })).toEqual({
    ...{ code: 2, out: "" },
    err: `spillway pause: --for: expected a length of time from 1s to 24h, such as 30min or 2h, got "${text}"\nspillway pause --help says more.\n`,
  });
});

test.each([
  [["pause"], 2, "expected the stream's name"],
  [["resume"], 2, "expected the stream's name"],
  [["pause", "checked", "leads"], 2, "expected STREAM, got checked leads"],
  [["pause", "nope"], 1, 'no stream is named "nope"'],
  [["resume", "a/../checked"], 1, 'no stream is named "a/../checked"'],
  [["pause", "checked", "--why", "a\nb"], 1, "why: expected one line"],
  [["puase", "checked"], 2, "did you mean pause?"],
])("%j is refused with a sentence", async (args, code, says) => {
  const got = await run(...args);
  expect(got).toMatchObject({ code, out: "", err: expect.stringContaining(says) });
  expect(await world.redis.keys("*")).toEqual([]);
});

test("a stream in DRAIN_PAUSED is not resumed, and the exit status says so", async () => {
  const { url, close } = await world.serve(
    createSupervisor(world.supervisor({ paused: new Set(["checked"]) })),
  );
  expect(await runSpillway(["resume", "checked"], { env: { SUPERVISOR_URL: url } })).toMatchObject({
    code: 1,
    out: expect.stringMatching(
      /^checked is in DRAIN_PAUSED\.\nIt is not drained before DRAIN_PAUSED is changed/,
    ),
  });
  await close();
});
