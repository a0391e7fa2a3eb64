/**
 * A stream that is saved again while it is being taken up: the state that is past is neither told nor run. The files are real, the clock
 * is turned by hand, and the check of types is a script in tsc's place, so the second save comes in the middle of it.
 */
import { appendFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { setImmediate as turn } from "node:timers/promises";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { FunctionProcess } from "../../dev/stack/function-process.ts";
import { type StreamWatch, watchStreams } from "../../dev/watch/watch-streams.ts";

let root: string;
let watch: StreamWatch | undefined;
let said: string[];
/** What became of each build: `prepare 1`, then `take over 1` or `discard 1`. */
let done: string[];
/** Happens while a function loads. */
let whileLoading: (build: string) => void;

const stream = () => join(root, "lib/streams/one.ts");

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
  root = mkdtempSync(join(tmpdir(), "spillway-watch-"));
  for (const folder of ["dist", "lib/streams", "node_modules/.bin"])
    mkdirSync(join(root, folder), { recursive: true });
  writeFileSync(stream(), "export default 1;\n");
  said = [];
  done = [];
  whileLoading = () => {};
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

/** Watches from a state in which no file is taken up yet, and turns the clock until something is said. */
async function untilSaid(): Promise<void> {
  const prepare = async (source: string) => {
    const build = relative(join(root, "builds"), source).split("/")[0] ?? "";
    done.push(`prepare ${build}`);
    whileLoading(build);
    return {
      takeOver: async () => void done.push(`take over ${build}`),
      discard: async () => void done.push(`discard ${build}`),
    };
  };
  watch = await watchStreams({
    ...{ root, folder: join(root, "builds"), builtAtMs: 0, say: (text) => said.push(text) },
    functions: [{ prepare } as Partial<FunctionProcess> as FunctionProcess],
  });
  while (said.length === 0) {
    vi.advanceTimersByTime(250);
    await turn();
  }
}

test("errors of a state that was saved over during its check are not told", async () => {
  check('[ $1 = 1 ] && echo "// again" >>lib/streams/one.ts; echo "error of check $1"; exit 2');
  await untilSaid();
  expect(said).toEqual([
    "error of check 2\nlib/streams/one.ts changed: type errors; the functions go on as they were",
  ]);
  expect([checks(), done]).toEqual([2, []]);
});

test("a state that was saved over during its check is not loaded", async () => {
  check('[ $1 = 1 ] && echo "// again" >>lib/streams/one.ts; exit 0');
  await untilSaid();
  expect(said).toEqual([expect.stringMatching(/^lib\/streams\/one\.ts changed: both functions run it now/)]);
  expect([checks(), done]).toEqual([2, ["prepare 2", "take over 2"]]);
});

test("a state that was saved over while it was loaded does not take over", async () => {
  check("exit 0");
  whileLoading = (build) => build === "1" && appendFileSync(stream(), "// again\n");
  await untilSaid();
  expect(said).toEqual([expect.stringMatching(/^lib\/streams\/one\.ts changed: both functions run it now/)]);
  expect([checks(), done]).toEqual([2, ["prepare 1", "discard 1", "prepare 2", "take over 2"]]);
});
