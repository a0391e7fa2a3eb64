/**
 * cloudbuild.yaml, run step by step against a cloud of this machine: what a build proves before it moves traffic, and what it leaves.
 * Types, tests and the image are left out; the functions are those of dist/.
 */
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { BIN, type BuildResult, PROJECT_ROOT, readBuildFile } from "../../dev/rehearse/builds.ts";
import type { TrafficTarget } from "../../dev/rehearse/cloud-run.ts";
import { run } from "../../dev/rehearse/terraform/terraform.ts";
import {
  asked,
  emailOf,
  openInstalled,
  PROJECT,
  REGION,
  serviceOf as serviceIn,
} from "./rollout-installation.ts";

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
});

const serviceOf = (name: string) => serviceIn(world, name);
/** What Terraform passes (terraform/build.tf). */
const passed = {
  _REGION: REGION,
  _IMAGE: `${REGION}-docker.pkg.dev/${PROJECT}/spillway/spillway`,
  _INGEST: "spillway-ingest",
  _SUPERVISOR: "spillway-supervisor",
  _DATABASE_URL_SECRET: "spillway-database-url",
  _MIGRATE_JOB: "",
  _OPERATOR_SERVICE_ACCOUNT: emailOf("operator"),
  _LOGS_BUCKET: `${PROJECT}-spillway-sources`,
};
const rollouts = async () =>
  (await sql.query("select build from spillway_rollouts")).rows.map((row) => row.build);
const tables = async (): Promise<string[]> =>
  (
    await sql.query(
      "select table_name as name from information_schema.tables where table_schema = 'public' and table_name not like 'spillway%' and table_name <> 'api_keys'",
    )
  ).rows.map(({ name }) => name);

/** A build that succeeds, with what gcloud shows of it while it runs. */
let first: BuildResult & { shown: string };

test("a build stores one event of its own end to end, moves traffic, and leaves no tag and no live key", async () => {
  let shown = "";
  const onLog = (text: string) => {
    shown += text;
  };
  first = { ...(await world.cloud.builds.run({ ...asked, onLog })), shown };
  const { id, failed, log } = first;
  expect([failed, log]).toEqual([
    undefined,
    expect.stringContaining("ok    ingest finds the event in Postgres: 200"),
  ]);
  expect(await rollouts()).toEqual([id]);
  expect(world.cloud.calls).toEqual([]); // no eager flush: the supervisor that serves would drain the event, and prove nothing
  for (const name of ["ingest", "supervisor"])
    expect(serviceOf(name).traffic).toEqual([
      { type: "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST", percent: 100 },
    ]);
  const { rows } = await sql.query("select name, streams, revoked_at is null as live from api_keys");
  expect(rows).toEqual([{ name: `smoke-test-${id}`, streams: ["spillway_rollouts"], live: false }]);
});

test("no table of the deployer has a row of it", async () => {
  const names = await tables();
  expect(names).toContain("dead_letters");
  for (const name of names)
    expect([name, (await sql.query(`select count(*)::int as n from "${name}"`)).rows[0]]).toEqual([
      name,
      { n: 0 },
    ]);
});

test("gcloud names no revision, so a plan afterwards has nothing to take away", () => {
  for (const name of ["ingest", "supervisor"]) expect(serviceOf(name).template.revision).toBeUndefined();
});

test("its log can be read while it runs", () => {
  const { logsBucket } = readBuildFile();
  expect([logsBucket, first.shown]).toEqual([
    expect.stringContaining("_LOGS_BUCKET"),
    expect.stringContaining("── smoke-test"),
  ]);
});

test("no step's image comes from Docker Hub itself, which limits who pulls without a name", () => {
  for (const { name } of readBuildFile().steps)
    expect(name).toMatch(/^(mirror\.gcr\.io\/|gcr\.io\/|\$\{_IMAGE\})/);
});

test("an installation's build does the same, by the scripts of the package", async () => {
  const folder = mkdtempSync(join(tmpdir(), "spillway-build-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  cpSync(join(PROJECT_ROOT, "template/cloudbuild.yaml"), join(folder, "cloudbuild.yaml"));
  mkdirSync(join(folder, "node_modules"));
  symlinkSync(PROJECT_ROOT, join(folder, "node_modules/spillway"));
  const before = serviceOf("ingest").template.containers[0]?.image;
  const { id, failed, log } = await world.cloud.builds.run({ ...asked, substitutions: passed, folder });
  expect([failed, log]).toEqual([
    undefined,
    expect.stringContaining("ok    ingest finds the event in Postgres: 200"),
  ]);
  expect(await rollouts()).toEqual([first.id, id]);
  for (const name of ["ingest", "supervisor"]) {
    expect(serviceOf(name).template.containers[0]?.image).toBe(`${passed._IMAGE}:${id}`);
    expect(serviceOf(name).traffic).toEqual([
      { type: "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST", percent: 100 },
    ]);
  }
  expect(before).not.toBe(`${passed._IMAGE}:${id}`);
});

/** Runs a script of deploy/ as a step of this build does. */
async function runStep(build: string, ...script: string[]) {
  const proven = join(world.folder, "proven");
  const revision = serviceOf("ingest").latestCreatedRevision.replace(/.*\//, "");
  writeFileSync(proven, `spillway-ingest ${revision}\n`);
  const own = await world.cloud.environmentOf(emailOf("build"));
  return run("bash", script, {
    ...{ ...own, PATH: `${BIN}:${own.PATH}`, PROJECT, REGION, BUILD: build },
    ...{ INGEST: "spillway-ingest", SUPERVISOR: "spillway-supervisor", OPERATOR: emailOf("operator") },
    PROVEN: proven,
    IMAGE: `us-east4-docker.pkg.dev/${PROJECT}/spillway/spillway:${build}`,
  });
}

test("a build whose revision is not the latest any more moves no traffic", async () => {
  const service = serviceOf("ingest");
  const [target] = service.traffic;
  service.traffic = [{ type: "TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION", revision: "older", percent: 100 }];
  const move = (build: string) => runStep(build, "deploy/move-traffic.sh", "spillway-ingest");
  const late = await move("an-earlier-build");
  expect([late.code, late.err, serviceOf("ingest").traffic[0]?.revision]).toEqual([
    1,
    expect.stringContaining("spillway-ingest was deployed by another build meanwhile"),
    "older",
  ]);
  const newest = serviceOf("ingest").template.containers[0]?.image.replace(/.*:/, "") ?? "";
  expect(await move(newest)).toMatchObject({ code: 0 });
  expect(serviceOf("ingest").traffic).toEqual([target]);
});

describe("the tag of a build that came later stays", () => {
  const tags = () => serviceOf("ingest").traffic.filter(({ tag }) => tag !== undefined);
  const later: TrafficTarget = {
    type: "TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION",
    revision: "later",
    tag: "candidate",
  };
  const giveTag = (traffic: TrafficTarget[]) => [...traffic.filter(({ tag }) => tag === undefined), later];
  afterEach(() => {
    const service = serviceOf("ingest");
    service.traffic = service.traffic.filter(({ tag }) => tag === undefined);
  });

  test("with a build that was overtaken before its smoke test", async () => {
    const service = serviceOf("ingest");
    service.traffic = giveTag(service.traffic);
    const late = await runStep("an-earlier-build", "deploy/smoke-test.sh");
    expect([late.code, late.err]).toEqual([
      1,
      expect.stringContaining("spillway-ingest was deployed by another build meanwhile"),
    ]);
    expect(tags()).toEqual([later]);
  });

  test("with a build that was overtaken during its smoke test", async () => {
    world.cloud.run.isCut = (_, { pathname }) => {
      if (pathname !== "/keys") return false;
      const service = serviceOf("ingest");
      service.traffic = giveTag(service.traffic);
      return true;
    };
    expect(await world.cloud.builds.run({ ...asked, env: { TRIES: "1" } })).toMatchObject({
      failed: "smoke-test",
    });
    expect(tags()).toEqual([later]);
    expect(serviceOf("supervisor").traffic.filter(({ tag }) => tag !== undefined)).toEqual([]);
  });
});

describe("a build fails, and the revisions that serve go on serving:", () => {
  const servingBefore = () =>
    ["ingest", "supervisor"].map((name) => {
      const service = serviceOf(name);
      const [first] = service.traffic;
      return first && world.cloud.run.revisionOf(service, first);
    });
  const expectFailed = async (log: RegExp) => {
    const before = servingBefore();
    const stored = await rollouts();
    const result = await world.cloud.builds.run({ ...asked, env: { TRIES: "1" } });
    expect([result.failed, result.log]).toEqual(["smoke-test", expect.stringMatching(log)]);
    expect(servingBefore()).toEqual(before);
    expect(await rollouts()).toEqual(stored);
    for (const name of ["ingest", "supervisor"])
      expect(serviceOf(name).traffic.filter(({ tag }) => tag !== undefined)).toEqual([]);
    return result;
  };

  test("Postgres does not answer", async () => {
    world.vendors.isPostgresAway = true;
    await expectFailed(/FAILED the supervisor (reaches|makes a key in) Postgres/);
  });

  test("the supervisor is open to strangers", async () => {
    const service = serviceOf("supervisor");
    service.invokerIamDisabled = true;
    await expectFailed(/FAILED the supervisor refuses strangers: expected 403, got/);
    service.invokerIamDisabled = false;
  });

  test("ingest can't be reached with the key that was made, and the log does not tell the key", async () => {
    let key = "";
    world.cloud.run.isCut = ({ headers }, { pathname }) => {
      const isCut = pathname === "/v1/spillway_rollouts" && headers.authorization !== undefined;
      if (isCut) key = `${headers.authorization}`.replace("Bearer ", "");
      return isCut;
    };
    const { log } = await expectFailed(/FAILED ingest buffers an event in Redis: expected 202, got 000/);
    expect(key).toMatch(/^\S{32,}$/);
    expect(log).not.toContain(key);
  });
});
