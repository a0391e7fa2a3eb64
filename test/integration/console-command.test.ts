/** `spillway console` in a process of its own, against a supervisor that checks tokens as Cloud Run does. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, beforeEach, expect, onTestFinished, test } from "vitest";
import { createSupervisor } from "../../functions/supervisor.ts";
import { runSpillway } from "./run-spillway.ts";
import { expectConserved, openWorld, pushEvents, type World } from "./test-stack.ts";

const PROGRAM = fileURLToPath(new URL("../../bin/spillway.mjs", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "spillway-console-"));

let world: World;
let supervisor: Awaited<ReturnType<World["serve"]>>;
/** The Authorization of each request that the supervisor got. */
let shown: (string | undefined)[] = [];
beforeAll(async () => {
  world = await openWorld();
  const handler = createSupervisor(world.supervisor());
  supervisor = await world.serve(async (req, res) => {
    shown.push(req.headers.authorization);
    return handler(req, res);
  });
  const outputs = {
    ingest_url: { value: "https://ingest.example" },
    supervisor_url: { value: supervisor.url },
    operator_service_account: { value: "operator@example" },
  };
  program("terraform", `/bin/cat <<'END'\n${JSON.stringify(outputs)}\nEND`);
  program("gcloud", "echo the-identity-token");
});
beforeEach(async () => {
  await world.reset();
  shown = [];
});
afterAll(async () => {
  await supervisor.close();
  await world.close();
  rmSync(folder, { recursive: true });
});

function program(name: string, script: string): void {
  writeFileSync(join(folder, name), `#!/bin/sh\n${script}\n`);
  chmodSync(join(folder, name), 0o755);
}

/** Starts it, and resolves when it has printed its address. */
async function start(args: string[], env: Record<string, string>) {
  const child: ChildProcess = spawn(process.execPath, [PROGRAM, "console", ...args], {
    env: { ...process.env, ...env },
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  let said = "";
  for (const stream of [child.stdout, child.stderr])
    stream?.on("data", (piece) => {
      said += String(piece);
    });
  await expect.poll(() => said, { timeout: 30_000, interval: 20 }).toContain("Ctrl-C ends it.");
  const url = new URL(/^Console (\S+)\n/.exec(said)?.[1] ?? "");
  const headers = { "x-spillway-console": url.hash.slice(1) };
  const ask = (method: string, path: string) => fetch(new URL(path, url.origin), { method, headers });
  return { child, url, ask, said: () => said };
}

test("a console of production shows the operator's token to the supervisor, and refuses to write without --write", async () => {
  const env = { PATH: folder, SPILLWAY_API_KEY: "" };
  const { child, ask, said } = await start(["--prod"], env);
  expect(said()).toContain("only reads: --write lets it change something");
  expect(await (await ask("GET", "/api/about")).json()).toMatchObject({
    isProd: true,
    canWrite: false,
    canSend: false,
  });
  const ids = await pushEvents(world, { stream: "checked", index: 0 }, [{ n: 1 }]);
  expect((await ask("GET", "/api/supervisor/status")).status).toBe(200);
  expect((await ask("POST", "/api/supervisor/drain")).status).toBe(403);
  expect(shown).toEqual(["Bearer the-identity-token"]);
  child.kill("SIGTERM");
  expect(await once(child, "exit")).toEqual([0, null]);

  const writing = await start(["--prod", "--write"], env);
  expect((await writing.ask("POST", "/api/supervisor/drain")).status).toBe(200);
  await expectConserved(world, "checked", ids);
});

test("whatever the environment names counts as production: it is only read without --write, and has no surge", async () => {
  const ids = await pushEvents(world, { stream: "checked", index: 0 }, [{ n: 1 }]);
  const byUrl = { SUPERVISOR_URL: supervisor.url };
  const byPlaces = {
    ...{ UPSTASH_REDIS_REST_URL: world.upstash.url, UPSTASH_REDIS_REST_TOKEN: "token" },
    ...{ DATABASE_URL: world.config.databaseUrl, NEON_HTTP_URL: world.config.neonHttpUrl ?? "" },
  };
  for (const env of [byUrl, byPlaces]) {
    const { ask } = await start([], env);
    expect(await (await ask("GET", "/api/about")).json()).toMatchObject({
      ...{ isProd: true, canWrite: false },
      ...{ ingestUrl: null, canSend: false },
    });
    expect((await ask("POST", "/api/supervisor/drain")).status).toBe(403);
    expect((await ask("POST", "/api/surge")).status).toBe(404);
  }
  const { ask } = await start(["--write"], byUrl);
  expect((await ask("POST", "/api/supervisor/drain")).status).toBe(200);
  await expectConserved(world, "checked", ids);
});

test("each start has another token, and the port that is asked for; one that is taken is a sentence", async () => {
  const env = { SUPERVISOR_URL: supervisor.url };
  const [first, second] = [await start([], env), await start([], env)];
  expect(first.url.hash).not.toBe(second.url.hash);
  expect(first.url.hash.length).toBeGreaterThan(40);

  const blocker = createServer();
  await new Promise<void>((resolve) => blocker.listen(0, "127.0.0.1", resolve));
  const { port } = blocker.address() as { port: number };
  expect(await runSpillway(["console", "--port", String(port)], { env })).toEqual({
    ...{ code: 1, out: "" },
    err: `spillway console: The console can't listen on port ${port} (EADDRINUSE).\n`,
  });
  blocker.close();
});
