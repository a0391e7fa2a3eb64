/** When changes of files are acted on while `npm start` runs, how they are told, and why a build is said not to load. */
import { expect, test } from "vitest";
import { ChangeWatch } from "../../dev/watch/change-watch.ts";
import { reasonIn } from "../../dev/watch/reason.ts";
import { describeChanges } from "../../dev/watch/watched-files.ts";

/** Files by hand, a watch on them, and what it acted on. */
function watching() {
  const files = new Map([["a.ts", "1"]]);
  const acted: string[] = [];
  let meanwhile = () => {};
  const isRefused = () => files.get("a.ts") === "bad";
  const look = () => new Map(files);
  const watch = new ChangeWatch({ look, follow: async () => {} }, look(), async (changes, isStale) => {
    meanwhile();
    if (isStale()) return "stale";
    acted.push(changes);
    return isRefused() ? "refused" : "taken";
  });
  const ticks = async (count: number) => {
    for (let i = 0; i < count; i++) {
      watch.tick();
      await watch.settled();
    }
  };
  return { files, acted, ticks, doMeanwhile: (act: () => void) => (meanwhile = act) };
}

test("saves within a moment are one change, acted on once", async () => {
  const { files, acted, ticks } = watching();
  files.set("a.ts", "2");
  await ticks(1);
  files.set("a.ts", "3").set("b.ts", "1");
  await ticks(1);
  expect(acted).toEqual([]); // it is not quiet yet
  await ticks(3);
  expect(acted).toEqual(["a.ts changed, b.ts added"]);
});

test("a save while it acts gives that up, and both are acted on together", async () => {
  const { files, acted, ticks, doMeanwhile } = watching();
  let saves = 0;
  doMeanwhile(() => {
    if (saves++ === 0) files.set("b.ts", "1");
  });
  files.set("a.ts", "2");
  await ticks(5);
  expect([acted, saves]).toEqual([["a.ts changed, b.ts added"], 2]);
});

test("what was refused stays a change until it is taken, and is none once it is taken back", async () => {
  const { files, acted, ticks } = watching();
  files.set("a.ts", "bad");
  await ticks(4);
  files.set("b.ts", "1");
  await ticks(4);
  files.delete("b.ts");
  files.set("a.ts", "1");
  await ticks(4);
  expect(acted).toEqual(["a.ts changed", "a.ts changed, b.ts added", ""]);
});

test("a file that is saved and taken back is no change", async () => {
  const { files, acted, ticks } = watching();
  files.set("b.ts", "1");
  await ticks(1);
  files.delete("b.ts");
  await ticks(3);
  expect(acted).toEqual([]);
});

test("a renamed and a deleted file are told as such", async () => {
  const { files, acted, ticks } = watching();
  files.delete("a.ts");
  files.set("c.ts", "1");
  await ticks(2);
  expect(acted).toEqual(["a.ts deleted, c.ts added"]);
});

test("why a build does not load is the error and the streams' files, without the framework's words", () => {
  const lines = [
    '{"severity":"INFO"}',
    "Provided module can't be loaded.",
    "Is there a syntax error in your code?",
    "Detailed stack trace: Error: boom",
    "    at file:///p/.local/functions/3/lib/streams/orders.js:12:7",
    "    at ModuleJob.run (node:internal/modules/esm/module_job:343:25)",
    "Could not load the function, shutting down.",
  ];
  expect(reasonIn(lines, "/p/.local/functions/3", "lib/streams/")).toBe(
    "Error: boom\n    at lib/streams/orders.ts",
  );
  expect(reasonIn([], "/p", "streams/")).toBe("it ended without a word");
});

test("of an error's trace the streams' lines are told, and four lines at most", () => {
  const at = (line: number) => `    at file:///p/3/lib/streams/orders.js:${line}:7`;
  const lines = ["a note before", "TypeError: no", ...[1, 2, 3, 4].map(at)];
  expect(reasonIn(lines, "/p/3", "lib/streams/").split("\n")).toEqual([
    "TypeError: no",
    ...Array(3).fill("    at lib/streams/orders.ts"),
  ]);
});

test("of many changes three are told, and how many more there are", () => {
  const after = new Map(["a", "b", "c", "d", "e"].map((name) => [`${name}.ts`, "1"]));
  expect(describeChanges(new Map(), after)).toBe("a.ts added, b.ts added, c.ts added, and 2 more");
});

test("what the streams import from the change on is no change after it was acted on", async () => {
  const files = new Map([["a.ts", "1"]]);
  const acted: string[] = [];
  const look = () => new Map(files);
  const follow = async () => void files.set("imported.ts", "1");
  const watch = new ChangeWatch({ look, follow }, look(), async (changes, isStale) => {
    acted.push(`${changes}${isStale() ? ", stale" : ""}`);
    return "taken";
  });
  files.set("a.ts", "2");
  for (let ticks = 0; ticks < 6; ticks++) {
    watch.tick();
    await watch.settled();
  }
  expect(acted).toEqual(["a.ts changed"]);
});
