/**
 * How streams that change are taken up: which files are watched, and that a state which was saved over, or does not load, is not run. The
 * files are real, the clock is turned by hand, and the check of types is a script in tsc's place, so a second save comes in the middle of it.
 */
import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { setImmediate as turn } from "node:timers/promises";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { type FunctionProcess, NotLoaded } from "../../dev/stack/function-process.ts";
import { type StreamWatch, watchStreams } from "../../dev/watch/watch-streams.ts";

let root: string;
let watch: StreamWatch | undefined;
let said: string[];
/** What became of each build: `prepare 1`, then `take over 1` or `discard 1`. */
let done: string[];
/** Happens while a function loads. */
let whileLoading: (build: string) => void;

/** Whether a second function does not load. */
let refuses: boolean;

const stream = () => join(root, "lib/streams/one.ts");

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
  root = mkdtempSync(join(tmpdir(), "spillway-watch-"));
  for (const folder of ["builds/of-an-earlier-run", "dist", "lib/streams", "node_modules/.bin"])
    mkdirSync(join(root, folder), { recursive: true });
  writeFileSync(stream(), "export default 1;\n");
  said = [];
  done = [];
  whileLoading = () => {};
  refuses = false;
});

afterEach(async () => {
  await watch?.stop();
  vi.useRealTimers();
  rmSync(root, { recursive: true, force: true });
});

/** Puts a check in tsc's place. It gets the number of its call as $1. */
function check(script: string): void {
  const lines = `echo >>checks; set -- $(wc -l <checks)\n${script}`;
  writeFileSync(join(root, "node_modules/.bin/tsc"), `#!/bin/sh\n${lines}\n`, { mode: 0o755 });
}

const checks = () => readFileSync(join(root, "checks"), "utf8").length;

/** Watches from a state in which no file is taken up yet, and turns the clock until that is said. */
async function watchOn(): Promise<void> {
  await beginToWatch(0);
  await untilSaid(1);
}

async function beginToWatch(builtAtMs: number): Promise<void> {
  const prepare = async (source: string) => {
    const build = relative(join(root, "builds"), source).split("/")[0] ?? "";
    done.push(`prepare ${build}`);
    whileLoading(build);
    return {
      takeOver: async () => void done.push(`take over ${build}`),
      discard: async () => void done.push(`discard ${build}`),
    };
  };
  const refuse = () => Promise.reject(new NotLoaded("ended at once", ["Error: boom"]));
  watch = await watchStreams({
    installation: {
      ...{ root, main: "dist/functions/index.js" },
      names: { streams: "lib/streams/", migrations: "drizzle/migrations/" },
    },
    ...{ folder: join(root, "builds"), builtAtMs, say: (text) => said.push(text) },
    functions: [{ prepare }, ...(refuses ? [{ prepare: refuse }] : [])] as FunctionProcess[],
  });
}

/** Turns the clock until so many things are said. */
async function untilSaid(count: number): Promise<void> {
  while (said.length < count) {
    vi.advanceTimersByTime(250);
    await turn();
  }
}

test("errors of a state that was saved over during its check are not told", async () => {
  check('[ $1 = 1 ] && echo "// again" >>lib/streams/one.ts; echo "error of check $1"; exit 2');
  await watchOn();
  expect(said).toEqual([
    "error of check 2\nlib/streams/one.ts changed: type errors; the functions go on as they were",
  ]);
  expect([checks(), done]).toEqual([2, []]);
});

test("a state that was saved over during its check is not loaded", async () => {
  check('[ $1 = 1 ] && echo "// again" >>lib/streams/one.ts; exit 0');
  await watchOn();
  expect(said).toEqual([expect.stringMatching(/^lib\/streams\/one\.ts changed: both functions run it now/)]);
  expect([checks(), done]).toEqual([2, ["prepare 2", "take over 2"]]);
});

test("a state that was saved over while it was loaded does not take over", async () => {
  check("exit 0");
  whileLoading = (build) => build === "1" && appendFileSync(stream(), "// again\n");
  await watchOn();
  expect(said).toEqual([expect.stringMatching(/^lib\/streams\/one\.ts changed: both functions run it now/)]);
  expect([checks(), done]).toEqual([2, ["prepare 1", "discard 1", "prepare 2", "take over 2"]]);
});

test("files that a stream imports from elsewhere in the project are watched, too", async () => {
  check("exit 0");
  mkdirSync(join(root, "shared"));
  const importFrom = (file: string) => {
    writeFileSync(join(root, "shared", file), 'export const word = "one";\n');
    writeFileSync(stream(), `export { word as default } from "../../shared/${file}";\n`);
  };
  const change = (file: string) => appendFileSync(join(root, "shared", file), "// again\n");
  importFrom("word.ts");
  await beginToWatch(Number.POSITIVE_INFINITY); // everything is as it was built
  change("word.ts");
  await untilSaid(1);
  importFrom("other-word.ts");
  await untilSaid(2);
  change("other-word.ts");
  await untilSaid(3);
  expect(said[0]).toMatch(/^shared\/word\.ts changed: both functions run it now/);
  expect(said[2]).toMatch(/^shared\/other-word\.ts changed: both functions run it now/);
  await watch?.stop();
  expect(readdirSync(join(root, "builds"))).toEqual(["3"]); // the builds before it are gone
});

test("a build that does not load is told and removed, and what did load of it is ended", async () => {
  check("exit 0");
  refuses = true;
  await watchOn();
  await watch?.stop();
  expect(said).toEqual([
    "Error: boom\nlib/streams/one.ts changed: it does not load; the functions go on as they were",
  ]);
  expect([done, readdirSync(join(root, "builds"))]).toEqual([["prepare 1", "discard 1"], []]);
});
