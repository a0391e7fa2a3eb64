/**
 * The build beside trouble: a network and a database that are away for a moment, a supervisor that serves and is faster, a paused stream, and
 * a terraform apply in the middle. What it proves and what it leaves, in a cloud of this machine.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { BIN } from "../../dev/rehearse/builds.ts";
import { run } from "../../dev/rehearse/terraform/terraform.ts";
import { asked, emailOf, openInstalled, serviceOf } from "./rollout-installation.ts";

type Installed = Awaited<ReturnType<typeof openInstalled>>;
let world: Installed["world"];
let sql: Installed["sql"];
let close: Installed["close"] | undefined;
beforeAll(async () => {
  ({ world, sql, close } = await openInstalled());
});
afterAll(() => close?.());
beforeEach(() => {
  world.vendors.isPostgresAway = false;
  world.cloud.run.isCut = () => false;
  world.cloud.run.isAnswerLost = () => false;
});

const build = (env: NodeJS.ProcessEnv = {}) => world.cloud.builds.run({ ...asked, env });
const rowsOf = async (id: string): Promise<number> =>
  (await sql.query("select 1 from spillway_rollouts where build = $1", [id])).rows.length;
const servingOf = (name: string) => {
  const service = serviceOf(world, name);
  const [first] = service.traffic;
  return first && world.cloud.run.revisionOf(service, first);
};
const keysOf = async (id: string) =>
  (
    await sql.query("select revoked_at is null as live from api_keys where name = $1", [`smoke-test-${id}`])
  ).rows.map(({ live }) => live);
/** Counts the requests of a path, of those that the network is asked about. */
function counter() {
  const seen = new Map<string, number>();
  return (path: string) => {
    const count = (seen.get(path) ?? 0) + 1;
    seen.set(path, count);
    return count;
  };
}

/** Asks the supervisor that serves, as an operator does. */
async function ask(path: string, body = "{}"): Promise<string> {
  const own = await world.cloud.environmentOf("operator@example.com");
  const { uri } = serviceOf(world, "supervisor");
  const token = world.cloud.credentials.idToken(emailOf("operator"), uri);
  const headers = ["-H", `authorization: Bearer ${token}`, "-H", "content-type: application/json"];
  const env = { ...own, PATH: `${BIN}:${own.PATH}` };
  return (await run("curl", ["-s", "-X", "POST", ...headers, "-d", body, `${uri}${path}`], env)).out;
}

test("what fails for a moment is asked again: an address, Postgres, and the answer that has the key, of which none is left", async () => {
  const count = counter();
  world.cloud.run.isCut = (_, { pathname }) => {
    const nth = count(pathname);
    if (pathname === "/status") world.vendors.isPostgresAway = nth === 2;
    return pathname === "/health" && nth === 1;
  };
  const answers = counter();
  world.cloud.run.isAnswerLost = (_, { pathname }) => pathname === "/keys" && answers(pathname) === 1;
  const REHEARSAL_CURLS = join(world.folder, "curls");
  const { id, failed, log } = await build({ REHEARSAL_CURLS });
  expect([failed, log]).toEqual([
    undefined,
    expect.stringContaining("ok    ingest finds the event in Postgres: 200"),
  ]);
  expect(await rowsOf(id)).toBe(1);
  expect(await keysOf(id)).toEqual([false, false]);

  // No secret is where each user of a machine can read it: among the arguments of a program.
  const curls = readFileSync(REHEARSAL_CURLS, "utf8");
  expect(curls).toMatch(/\/keys/);
  expect(curls).not.toMatch(/bearer/i);
});

describe("the supervisor that serves drains the event before the new one:", () => {
  /** Before so many of the new one's drains. */
  const beFaster = (times: number) => {
    const count = counter();
    world.cloud.run.isCut = async (_, { host, pathname }) => {
      if (!/^candidate---/.test(host) || pathname !== "/drain/spillway_rollouts") return false;
      if (count(pathname) <= times) await ask("/drain?wait=1");
      return false;
    };
  };

  test("another event is sent", async () => {
    beFaster(1);
    const { id, failed, log } = await build();
    expect([failed, log]).toEqual([undefined, expect.stringContaining("ok    the supervisor stores")]);
    expect(await rowsOf(id)).toBe(2);
  });

  test("three times: the build fails, and says what to do", async () => {
    beFaster(3);
    const { id, failed, log } = await build({ TRIES: "1" });
    expect([failed, log]).toEqual([
      "smoke-test",
      expect.stringMatching(/three times the one that serves was faster.* build again/),
    ]);
    expect(await rowsOf(id)).toBe(3);
    expect(await keysOf(id)).toEqual([false]);
  });
});

describe("everything is paused, Spillway's own stream too, and a release goes out:", () => {
  /** Builds, and then lets the drain go on. */
  async function buildPaused(said: string, goOn: () => Promise<unknown>): Promise<void> {
    const { id, failed, log } = await build();
    expect([failed, log]).toEqual([
      undefined,
      expect.stringContaining("UNSEEN whether the supervisor stores"),
    ]);
    expect(log).toContain(said);
    for (const name of ["ingest", "supervisor"])
      expect(serviceOf(world, name).traffic).toEqual([
        { type: "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST", percent: 100 },
      ]);
    expect([await rowsOf(id), await keysOf(id)]).toEqual([0, [false]]);
    await goOn();
    expect(await ask("/drain?wait=1")).toContain('"outcome":"empty"');
    expect(await rowsOf(id)).toBe(1);
  }

  test("by a pause", async () => {
    await ask("/streams/spillway_rollouts/pause", '{"why":"Postgres is restored"}');
    await buildPaused("Postgres is restored", () => ask("/streams/spillway_rollouts/resume"));
  });

  test("by the setting", async () => {
    const apply = async (change: (env: { name: string; value?: string }[]) => object[]) => {
      const { name, template } = serviceOf(world, "supervisor");
      const containers = template.containers.map((one) => ({ ...one, env: change(one.env ?? []) }));
      await world.cloud.run.updateService(name, { template: { ...template, containers } } as object);
    };
    await apply((env) => [...env, { name: "DRAIN_PAUSED", value: "spillway_rollouts" }]);
    await buildPaused('"isInEnvironment": true', () =>
      apply((env) => env.filter(({ name }) => name !== "DRAIN_PAUSED")),
    );
  });
});

test("a revision that terraform apply makes after the smoke test has seen another gets no traffic", async () => {
  world.cloud.run.isCut = async (_, { pathname }) => {
    if (!pathname.startsWith("/v1/spillway_rollouts/")) return false;
    world.cloud.run.isCut = () => false;
    const { name, template } = serviceOf(world, "ingest");
    await world.cloud.run.updateService(name, { template: { ...template, timeout: "61s" } });
    return false;
  };
  const serving = servingOf("ingest");
  const { id, failed, log } = await build();
  expect([failed, log]).toEqual(["traffic", expect.stringContaining("spillway-ingest has a newer revision")]);
  expect(servingOf("ingest")).toBe(serving);
  expect([await rowsOf(id), await keysOf(id)]).toEqual([1, [false]]);
});
