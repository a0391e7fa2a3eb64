/** The steps of a rehearsal: README's own commands, from nothing to nothing, and what each has to show. */
import { createHash, randomBytes } from "node:crypto";
import { OWNER } from "./asked.ts";
import { BIN } from "./builds.ts";
import type { Service } from "./cloud-run.ts";
import { firstEvent } from "./first-event.ts";
import { PROJECT, REGION } from "./installations.ts";
import { demand, demandKept, demandLive } from "./proofs.ts";
import { run, Terraform } from "./terraform/terraform.ts";
import { upgrade } from "./upgrade.ts";
import type { World } from "./world.ts";

const KEY = `key_${randomBytes(32).toString("hex")}`;

const NAMES = ["spillway-ingest", "spillway-supervisor"];
const SERVICES = NAMES.map((name) => `projects/${PROJECT}/locations/${REGION}/services/${name}`);
const isForbidden = ({ status }: { status: number }) => status === 403;
type FirstEvent = Awaited<ReturnType<typeof firstEvent>>;

export class Rehearsal {
  readonly #world: World;
  readonly #terraform: Terraform;
  readonly #example: FirstEvent;
  readonly #env: NodeJS.ProcessEnv;

  /** `servers` says where Redis and Postgres come from. */
  static async open(world: World, servers: object): Promise<Rehearsal> {
    const example = await firstEvent();
    const terraform = await Terraform.open(world.cloud, world.folder, {
      project_id: PROJECT,
      region: REGION,
      alert_email: "oncall@example.com",
      operators: [`user:${OWNER}`],
      api_keys: { rehearsal: { sha256: createHash("sha256").update(KEY).digest("hex") } },
      ...servers,
      operations_url: "https://example.com/operations.md",
      grant_wait_seconds: 0, // rights are known at once here
      ...(example ? { curl_example: example } : {}),
    });
    const own = await world.cloud.environmentOf(OWNER);
    return new Rehearsal(world, terraform, example, {
      ...own,
      KEY,
      PATH: `${BIN}:${own.PATH}`,
      SPILLWAY_TERRAFORM: terraform.folder,
    });
  }

  private constructor(world: World, terraform: Terraform, example: FirstEvent, env: NodeJS.ProcessEnv) {
    this.#world = world;
    this.#terraform = terraform;
    this.#example = example;
    this.#env = env;
  }

  readonly steps: [string, () => Promise<string>][] = [
    ["apply from nothing", () => this.#apply()],
    ["an upgrade from a release whose ingest is public by allUsers", () => this.#upgrade()],
    ["build, migrate, deploy, smoke test, traffic", () => this.#deploy()],
    ["an event end to end, drained by the scheduler's tick", () => this.#sendOne()],
    ["a hundred events, drained by the queue's eager flush", () => this.#sendMany()],
    ["strangers, the scheduler and operators get what each may", () => this.#askAround()],
    ["a second plan is empty", () => this.#planAgain()],
    ["a second build", () => this.#deploy()],
    ["a rollback, and an event to the older release", () => this.#rollBack()],
    ["destroy", () => this.#destroy()],
  ];

  /** Of a second installation, where the first one shows the rest. */
  readonly fewSteps = this.steps.filter((_, i) => [0, 2, 3, 6].includes(i));

  async #apply(): Promise<string> {
    await this.#terraform.run("apply", ["-auto-approve"]);
    const health = await this.#curl(`${await this.#terraform.output("ingest_url")}/health`);
    demand(health.status === 200, `the placeholder answered ${health.status}`);
    return `${this.#world.cloud.resources.names.length} resources`;
  }

  async #upgrade(): Promise<string> {
    const ingest = `projects/${PROJECT}/locations/${REGION}/services/spillway-ingest`;
    const { isBound, isOpen } = await upgrade(this.#world, this.#terraform, ingest);
    demand(isBound && isOpen === true, "for a moment ingest lets nobody in");
    return "ingest is public all the time";
  }

  async #deploy(): Promise<string> {
    const command = await this.#terraform.output("deploy_command");
    const { code, out, err } = await run("sh", ["-c", command], this.#env);
    demand(code === 0, `the build failed:\n${out}${err}`);
    demand(out.includes("── smoke-test"), "gcloud showed no log while the build ran");
    demandLive(this.#world.cloud.resources, SERVICES);
    return `${out.match(/^ok {4}/gm)?.length} proofs of the smoke test`;
  }

  async #curl(url: string, headers: Record<string, string> = {}, body?: unknown) {
    const given = Object.entries(headers).flatMap(([name, value]) => ["-H", `${name}: ${value}`]);
    const args = ["-s", "-w", "\n%{http_code}", ...given];
    const sent =
      body === undefined ? [] : ["-H", "content-type: application/json", "-d", JSON.stringify(body)];
    const { out } = await run("curl", [...args, ...sent, url], this.#env);
    const [status = "", ...lines] = out.split("\n").reverse();
    return { status: Number(status), text: lines.reverse().join("\n") };
  }

  /** Posts as README says. Returns the id. */
  async #postExample(): Promise<string> {
    const { out } = await run("sh", ["-c", await this.#terraform.output("curl")], this.#env);
    demand(/^HTTP\/1.1 202/m.test(out), `expected 202, got ${out}`);
    return (JSON.parse(/^\{.*$/m.exec(out)?.[0] ?? "{}") as { ids: string[] }).ids[0] ?? "";
  }

  /** How many of these are in Postgres; of up to 100 ids. */
  async #storedOf(ids: readonly string[]): Promise<number> {
    const asked = new URLSearchParams(ids.map((id): [string, string] => ["id", id]));
    const url = `${await this.#terraform.output("ingest_url")}/v1/${this.#example?.stream}?${asked}`;
    const { status, text } = await this.#curl(url, { authorization: `Bearer ${KEY}` });
    demand(status === 200, `the look-up was answered ${status} ${text}`);
    const { events } = JSON.parse(text) as { events: { status: string }[] };
    return events.filter((one) => one.status === "stored").length;
  }

  /** A minute passes: each job of Cloud Scheduler calls. */
  async #tick(): Promise<void> {
    const { cloud } = this.#world;
    for (const name of cloud.resources.names.filter((one) => /\/jobs\/[^/]+$/.test(one))) {
      const { httpTarget } = cloud.resources.get(name) as { httpTarget?: { uri: string } };
      if (httpTarget === undefined) continue; // a job of Cloud Run
      const status = await cloud.call("scheduler", { ...httpTarget, url: httpTarget.uri });
      demand(status === 200, `the tick was answered ${status}`);
    }
  }

  async #sendOne(): Promise<string> {
    if (this.#example === undefined) return "left out: lib/streams/ has no stream whose events are buffered";
    const id = await this.#postExample();
    demand((await this.#storedOf([id])) === 0, "it was stored before the tick");
    await this.#tick();
    demand((await this.#storedOf([id])) === 1, "it is not stored after the tick");
    return `${this.#example.stream}/${id}`;
  }

  async #sendMany(): Promise<string> {
    if (this.#example === undefined) return "left out: as before";
    const { stream, event } = this.#example;
    const url = `${await this.#terraform.output("ingest_url")}/v1/${stream}`;
    const posted = await this.#curl(url, { authorization: `Bearer ${KEY}` }, Array(100).fill(event));
    demand(posted.status === 202, `expected 202, got ${posted.status} ${posted.text}`);
    const flushes = () => this.#world.cloud.calls.filter(({ by }) => by === "tasks");
    await this.#world.cloud.settled();
    demand(
      flushes().some(({ status }) => status === 200),
      `the queue's calls: ${JSON.stringify(flushes())}`,
    );
    const { ids } = JSON.parse(posted.text) as { ids: string[] };
    const stored = await this.#storedOf(ids);
    demand(
      new Set(ids).size === 100 && stored === 100,
      `after the flush ${stored} of ${ids.length} are stored`,
    );
    return flushes()[0]?.url ?? "";
  }

  /** An operator asks as README says: the command line finds everything by terraform output and gcloud. */
  async #askAround(): Promise<string> {
    const supervisor = await this.#terraform.output("supervisor_url");
    const strangers = [
      await this.#curl(`${supervisor}/status`),
      await this.#curl(`${supervisor}/drain`, {}, {}),
    ];
    demand(strangers.every(isForbidden), "a stranger may ask the supervisor, or drain");
    const name = `spillway-scheduler@${PROJECT}.iam.gserviceaccount.com`;
    const scheduler = this.#world.cloud.credentials.idToken(name, supervisor);
    const asked = await this.#curl(`${supervisor}/status`, { authorization: `Bearer ${scheduler}` });
    const isRefused = isForbidden(asked) && asked.text.includes("caller-not-allowed");
    demand(isRefused, "the scheduler may do more than drain");
    for (const command of ["status", "doctor"]) {
      const args = ["bin/spillway.mjs", command, "--prod"];
      const { code, out, err } = await run(process.execPath, args, this.#env);
      demand(code === 0, `spillway ${command} --prod ended with ${code}\n${out}${err}`);
    }
    return "403, 403, 403; spillway status and doctor --prod";
  }

  async #planAgain(): Promise<string> {
    const { code, out } = await this.#terraform.run("plan", ["-detailed-exitcode"], [0, 2]);
    demand(code === 0, out);
    return "no changes";
  }

  /** As docs/operations.md says: ingest, drain, supervisor. */
  async #rollBack(): Promise<string> {
    const { cloud } = this.#world;
    const older: string[] = [];
    for (const service of SERVICES) {
      const name = service.replace(/.*\//, "");
      const revisions = cloud.resources.list(`${service}/revisions`);
      const revision = revisions.at(-2)?.name.replace(/.*\//, "") ?? "";
      const args = ["run", "services", "update-traffic", name, `--project=${PROJECT}`, `--region=${REGION}`];
      await this.#tick();
      const { code, err } = await run("gcloud", [...args, `--to-revisions=${revision}=100`], this.#env);
      demand(code === 0, err);
      const [serving] = (cloud.resources.get(service) as Service).traffic;
      demand(serving?.revision === revision, `${name} serves ${serving?.revision}`);
      older.push(revision);
    }
    if (this.#example) await this.#sendOne();
    await this.#planAgain();
    return older.join(", ");
  }

  /** As docs/operations.md says: Terraform forgets the databases, and destroys the rest. */
  async #destroy(): Promise<string> {
    await this.#terraform.run("apply", ["-auto-approve", "-var=deletion_protection=false"]);
    await this.#terraform.run("state", ["rm", "upstash_redis_database.this", "neon_project.this"]);
    await this.#terraform.run("destroy", ["-auto-approve", "-var=deletion_protection=false"]);
    demandKept(this.#world.cloud.resources.names, this.#world.vendors.databases);
    return "the APIs stay on, and both databases exist";
  }
}
