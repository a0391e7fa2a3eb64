/** The program `spillway` itself: its list of commands, its help, its suggestions, its colours, and how npx finds it. */
import { execFile, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createSupervisor } from "../../functions/supervisor.ts";
import { isOverTcp, serverSettings, workerServers } from "../worker-servers.ts";
import { copyProject } from "./project-copy.ts";
import { runSpillway } from "./run-spillway.ts";
import { openWorld, type World } from "./test-stack.ts";

const project = fileURLToPath(new URL("../../", import.meta.url));
const commands = readdirSync(join(project, "dev/operate/commands")).map((file) => file.replace(/\.ts$/, ""));

let world: World;
let served: Awaited<ReturnType<World["serve"]>>;
beforeAll(async () => {
  world = await openWorld();
  await world.reset();
  served = await world.serve(createSupervisor(world.supervisor()));
});
afterAll(async () => {
  await served.close();
  await world.close();
});

describe("help", () => {
  test("lists every command with one sentence", async () => {
    for (const args of [["--help"], ["-h"], ["help"]]) {
      const { code, out, err } = await runSpillway(args);
      expect([code, err]).toEqual([0, ""]);
      for (const name of commands) expect(out).toMatch(new RegExp(`^  ${name} +[A-Z].*[.]$`, "m"));
    }
    expect(await runSpillway([])).toMatchObject({
      code: 2,
      out: expect.stringContaining("Usage: spillway COMMAND"),
    });
  });

  test.each(commands)("of %s says how it is called, and asks nobody", async (name) => {
    const nowhere = { SUPERVISOR_URL: "http://127.0.0.1:9", SPILLWAY_URL: "http://127.0.0.1:9" };
    const { code, out, err } = await runSpillway([name, "--help"], { env: nowhere });
    expect([code, err]).toEqual([0, ""]);
    expect(out).toMatch(new RegExp(`^Usage: spillway ${name}\\b`));
    const actions = [...out.matchAll(/^ {2}([a-z-]+)(?: [A-Z[]+)* {2,}/gm)].map(([, action = ""]) => action);
    if (!out.startsWith(`Usage: spillway ${name} COMMAND`)) return;
    for (const action of actions) {
      const help = await runSpillway([name, action, "--help"], { env: nowhere });
      expect([help.code, help.err]).toEqual([0, ""]);
      expect(help.out).toMatch(new RegExp(`^Usage: spillway ${name} ${action}\\b`));
    }
  });

  test("is not asked for behind --, where words begin", async () => {
    expect(
      await runSpillway(["drain", "--", "--help"], { env: { SUPERVISOR_URL: served.url } }),
    ).toMatchObject({
      code: 1,
      err: expect.stringContaining('no stream is named "--help"'),
    });
  });
});

describe("mistyped", () => {
  test.each([
    [["statsu"], 'there is no command "statsu"; did you mean status?'],
    [["dead-letter", "list"], "did you mean dead-letters?"],
    [["dead-letters", "lsit"], "did you mean list?"],
    [["status", "--jsno"], "did you mean --json?"],
    [["drain", "--wiat"], "did you mean --wait?"],
    [["qqqqqqqq"], 'there is no command "qqqqqqqq"\n'],
    [["constructor"], 'there is no command "constructor"\n'],
    [["keys", "constructor"], 'got "constructor"\n'],
    [["../migrate"], 'there is no command "../migrate"'],
    [["status", "--json=1"], "does not take an argument"],
    [["drain", "-x"], "Unknown option"],
  ])("%j", async (args, says) => {
    const { code, out, err } = await runSpillway(args, { env: { SUPERVISOR_URL: served.url } });
    expect([code, out]).toEqual([2, ""]);
    expect(err).toContain(says);
    expect(err).toMatch(/ --help says more\.\n$/);
    expect(err).not.toMatch(/\n\s+at /);
  });
});

describe("doctor and refusals", () => {
  const run = (...args: string[]) => runSpillway(args, { env: { SUPERVISOR_URL: served.url } });

  test("doctor says what is seen, what it means and what to do, and exits with 1 if something is wrong", async () => {
    await world.sql.query("alter table checked rename n to m");
    await world.redis.call("slowlog", "reset"); // a busy machine made scripts of earlier tests slow
    try {
      const { code, out, err } = await run("doctor");
      expect([code, err]).toEqual([1, ""]);
      expect(out).toMatch(/^Redis\n {2}right {4}redis-ping: .* → .* → nothing$/m);
      expect(out).toMatch(/^ {2}wrong {4}tables: table checked lacks column n.*\n {11}→ \S.*\n {11}→ \S/m);
      expect(out).toMatch(/\n\n\d+ right, 1 wrong, \d+ can't be seen here\.\n$/);
      const json = await run("doctor", "--json");
      expect(json.code).toBe(1);
      expect(JSON.parse(json.out).checks).toContainEqual({
        ...{ check: "tables", group: "spillway", result: "wrong" },
        ...{ seen: expect.any(String), means: expect.any(String), do: expect.any(String) },
      });
    } finally {
      await world.sql.query("alter table checked rename m to n");
    }
    expect(await run("doctor")).toMatchObject({ code: 0, out: expect.stringContaining(" 0 wrong, ") });
  });

  test("refusals of a stream that there is not are refused", async () => {
    expect(await run("refusals", "nope")).toMatchObject({ code: 1, err: expect.stringContaining('"nope"') });
    expect(await run("refusals")).toMatchObject({ code: 0, out: "Nothing was refused lately.\n" });
  });
});

describe("colours", () => {
  const env = (more: Record<string, string>) => ({
    SUPERVISOR_URL: served.url,
    NO_COLOR: "",
    FORCE_COLOR: "",
    ...more,
  });
  // Nothing of this process's environment: CI, NODE_DISABLE_COLORS and their like decide on colours too.
  const onTerminal = (more: Record<string, string>) =>
    new Promise<string>((resolve) => {
      const child = spawn("script", ["-qec", `'${process.execPath}' bin/spillway.mjs status`, "/dev/null"], {
        cwd: project,
        env: { PATH: process.env.PATH, TERM: "xterm-256color", SUPERVISOR_URL: served.url, ...more },
        stdio: ["ignore", "pipe", "inherit"],
      });
      let text = "";
      child.stdout?.on("data", (chunk) => (text += String(chunk)));
      child.once("close", () => resolve(text));
    });
  const COLOUR = "\x1b[1m";

  test("are not in a pipe, unless FORCE_COLOR asks for them, and never in JSON", async () => {
    const { FORCE_COLOR: _, NO_COLOR: __, ...plain } = env({});
    expect((await runSpillway(["status"], { env: plain })).out).not.toContain(COLOUR);
    expect((await runSpillway(["status"], { env: env({ FORCE_COLOR: "1" }) })).out).toContain(COLOUR);
    const json = await runSpillway(["status", "--json"], { env: env({ FORCE_COLOR: "1" }) });
    expect(JSON.parse(json.out)).toHaveProperty("streams");
  });

  test.skipIf(!existsSync("/usr/bin/script"))(
    "are on a terminal, unless NO_COLOR asks for none",
    async () => {
      expect(await onTerminal({})).toContain(COLOUR);
      expect(await onTerminal({ NO_COLOR: "1" })).not.toContain(COLOUR);
    },
  );
});

test("a reader that has seen enough is no error", async () => {
  const { stdout } = await promisify(execFile)(
    "sh",
    ["-c", `'${process.execPath}' bin/spillway.mjs --help | head -1; echo "$?"`],
    { cwd: project },
  );
  expect(stdout).toBe("Usage: spillway COMMAND [WORDS] [OPTIONS]\n0\n");
});

test("an environment with Redis and Postgres and no supervisor is enough: the command serves one for itself", async () => {
  const { restUrl, redisUrl, databaseUrl } = workerServers();
  const env = { ...serverSettings(), SUPERVISOR_URL: "" };
  const status = await runSpillway(["status", "--json"], { env });
  expect([status.code, status.err]).toEqual([0, ""]);
  const streams = readdirSync(join(project, "lib/streams")).map((file) => file.replace(/\.ts$/, ""));
  expect(JSON.parse(status.out).streams.map(({ stream }: { stream: string }) => stream)).toEqual(
    expect.arrayContaining(streams),
  );
  expect(await runSpillway(["dead-letters", "list"], { env })).toMatchObject({
    ...{ code: 0, out: expect.stringContaining("No live dead letters") },
    err: `Dead letters of ${new URL(isOverTcp ? redisUrl : restUrl).host} and ${new URL(databaseUrl).host}${new URL(databaseUrl).pathname}\n\n`,
  });
});

describe("npx spillway", () => {
  const { folder, remove } = copyProject();
  const cache = mkdtempSync(join(tmpdir(), "npx-cache-"));
  afterAll(() => {
    remove();
    rmSync(cache, { recursive: true, force: true });
  });

  test.each(["", "lib", "dev/operate"])("runs this checkout's in %j, and fetches nothing", async (under) => {
    const { PATH, HOME } = process.env;
    const { stdout, stderr } = await promisify(execFile)("npx", ["spillway", "status", "--json"], {
      cwd: join(folder, under), // its path holds spaces and a letter that is not ASCII
      env: {
        ...{ PATH, HOME, SUPERVISOR_URL: served.url },
        ...{
          npm_config_registry: "http://127.0.0.1:9",
          npm_config_cache: cache,
          npm_config_fetch_retries: "0",
        },
      },
    });
    expect(JSON.parse(stdout)).toHaveProperty("streams");
    expect(stderr).toBe("");
  });
});

describe("standard output", () => {
  const program = join(project, "bin/spillway.mjs");
  /** Runs the program in a shell that ends with the program's own exit status. */
  const inShell = (command: string): Promise<{ code: number; err: string }> =>
    new Promise((resolve) => {
      const child = execFile(
        "bash",
        [
          "-c",
          `spillway() { '${process.execPath}' '${program}' "$@"; }; ${command}; exit "\${PIPESTATUS[0]}"`,
        ],
        (_, __, err) => resolve({ code: child.exitCode ?? -1, err }),
      );
    });

  test.each([
    ["openapi", 0],
    ["status --nope", 2],
    ["webhook replay /nonexistent", 1],
  ])("that nobody reads any more changes no exit status: %s", async (command, code) => {
    for (
      let times = 0;
      times < 3;
      times++ // which end comes first is open
    )
      expect((await inShell(`spillway ${command} 2>&1 | true`)).code).toBe(code);
  });

  test("on a full disk is a failure, and a sentence", async () => {
    expect(await inShell("spillway openapi > /dev/full | true")).toEqual({
      code: 1,
      err: "spillway openapi: standard output can't be written (ENOSPC).\n",
    });
  });

  test("a message of several lines is one sentence", async () => {
    const { code, err } = await runSpillway(["keys", "create", "x", "--rate", "-1"]);
    expect([code, err.trimEnd().split("\n").length]).toEqual([2, 2]);
  });
});

describe("something else at the supervisor's address is a sentence, and nothing is printed as if it were data:", () => {
  const UUID = "019ab5f2-7c3e-7b1a-9d2f-3c5a8e0b6d41";
  const asking = [
    ...[
      "status",
      "drain",
      "usage",
      "refusals",
      "doctor",
      "prune",
      "keys list",
      "keys create x",
      "keys rotate x",
    ],
    ...["keys revoke x", "dead-letters list", "dead-letters list --each", `dead-letters show ${UUID}`],
    ...["dead-letters redrive", "dead-letters purge --all-letters --dry-run"],
  ];
  const answers: [status: number, body: string][] = [
    [200, "[]"],
    [200, '{"streams":[null],"keys":"x","letters":{},"hours":1}'],
    [400, '{"detail":{},"title":1,"errors":[null]}'],
  ];

  test.each(answers)("%i %s", async (status, body) => {
    const other = await world.serve(async (req, res) => {
      req.resume();
      res.writeHead(status, { "content-type": "application/json" }).end(body);
    });
    const runs = await Promise.all(
      asking.map((command) => runSpillway(command.split(" "), { env: { SUPERVISOR_URL: other.url } })),
    );
    await other.close();
    for (const [i, { code, out, err }] of runs.entries())
      expect([asking[i], code, out, err]).toEqual([
        ...[asking[i], 1, ""],
        expect.stringMatching(
          /^(?:Dead letters of .*\n\n)?spillway [a-z -]+: The (?:answer is|supervisor answered) \d+.*\n$/,
        ),
      ]);
  });
});
