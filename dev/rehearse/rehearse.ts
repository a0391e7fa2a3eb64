/**
 * `npm run rehearse`: the deployment of README from nothing to nothing, with its own commands, against a cloud of this machine. Terraform
 * makes the services there, the build deploys the functions of dist/ into them, and they run with the environment, the secrets and the
 * rights that Terraform gave. What such a cloud can't show is listed in docs/operations.md, "Not yet seen on the real cloud".
 *
 * Exit status 0: every step was done, or terraform is not installed. 1: a step failed; it says which, and why. With REHEARSE=required, it is
 * also 1 if terraform is missing.
 */
import { createHash, randomBytes } from "node:crypto";
import { OWNER } from "./asked.ts";
import { BIN } from "./builds.ts";
import type { Service } from "./cloud-run.ts";
import { firstEvent } from "./first-event.ts";
import { isInstalled, run, Terraform } from "./terraform/terraform.ts";
import { openWorld, type World } from "./world.ts";

const PROJECT = "my-project";
const REGION = "us-east4";
const KEY = `key_${randomBytes(32).toString("hex")}`;

class StepFailed extends Error {}

function demand(isSo: boolean, otherwise: string): void {
  if (!isSo) throw new StepFailed(otherwise);
}

type FirstEvent = Awaited<ReturnType<typeof firstEvent>>;

class Rehearsal {
  readonly #world: World;
  readonly #terraform: Terraform;
  readonly #example: FirstEvent;
  readonly #env: NodeJS.ProcessEnv;

  static async open(world: World): Promise<Rehearsal> {
    const example = await firstEvent();
    const terraform = await Terraform.open(world.cloud, world.folder, {
      project_id: PROJECT,
      region: REGION,
      alert_email: "oncall@example.com",
      operators: [`user:${OWNER}`],
      api_keys: { rehearsal: { sha256: createHash("sha256").update(KEY).digest("hex") } },
      upstash_email: OWNER,
      upstash_api_key: "upstash",
      neon_api_key: "neon",
      neon_org_id: "org-rehearsal",
      operations_url: "https://example.com/operations.md",
      grant_wait_seconds: 0, // rights are known at once here
      ...(example ? { curl_example: example } : {}),
    });
    const own = await world.cloud.environmentOf(OWNER);
    return new Rehearsal(world, terraform, example, { ...own, KEY, PATH: `${BIN}:${own.PATH}` });
  }

  private constructor(world: World, terraform: Terraform, example: FirstEvent, env: NodeJS.ProcessEnv) {
    this.#world = world;
    this.#terraform = terraform;
    this.#example = example;
    this.#env = env;
  }

  readonly steps: [string, () => Promise<string>][] = [
    ["apply from nothing", () => this.#apply()],
    ["build, migrate, deploy, smoke test, traffic", () => this.#deploy()],
    ["an event end to end, drained by the scheduler's tick", () => this.#sendOne()],
    ["a hundred events, drained by the queue's eager flush", () => this.#sendMany()],
    ["strangers, the scheduler and operators get what each may", () => this.#askAround()],
    ["a second plan is empty", () => this.#planAgain()],
    ["a second build", () => this.#deploy()],
    ["a rollback, and an event to the older release", () => this.#rollBack()],
    ["destroy", () => this.#destroy()],
  ];

  async #apply(): Promise<string> {
    await this.#terraform.run("apply", ["-auto-approve"]);
    const health = await this.#curl(`${await this.#terraform.output("ingest_url")}/health`);
    demand(health.status === 200, `the placeholder answered ${health.status}`);
    return `${this.#world.cloud.resources.names.length} resources`;
  }

  async #deploy(): Promise<string> {
    const command = await this.#terraform.output("deploy_command");
    const { code, out, err } = await run("sh", ["-c", command], this.#env);
    demand(code === 0, `the build failed:\n${out}${err}`);
    demand(out.includes("── smoke-test"), "gcloud showed no log while the build ran");
    return `${out.match(/^ok {4}/gm)?.length} proofs of the smoke test`;
  }

  async #curl(url: string, headers: Record<string, string> = {}, body?: unknown) {
    const args = [
      "-s",
      "-w",
      "\n%{http_code}",
      ...Object.entries(headers).flatMap(([name, value]) => ["-H", `${name}: ${value}`]),
    ];
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

  async #isStored(id: string): Promise<boolean> {
    const url = `${await this.#terraform.output("ingest_url")}/v1/${this.#example?.stream}/${id}`;
    const { status, text } = await this.#curl(url, { authorization: `Bearer ${KEY}` });
    return status === 200 && (JSON.parse(text) as { status: string }).status === "stored";
  }

  /** A minute passes: each job of Cloud Scheduler calls. */
  async #tick(): Promise<void> {
    const { cloud } = this.#world;
    for (const name of cloud.resources.names.filter((one) => /\/jobs\/[^/]+$/.test(one))) {
      const { httpTarget } = cloud.resources.get(name) as unknown as { httpTarget: { uri: string } };
      const status = await cloud.call("scheduler", { ...httpTarget, url: httpTarget.uri });
      demand(status === 200, `the tick was answered ${status}`);
    }
  }

  async #sendOne(): Promise<string> {
    if (this.#example === undefined) return "left out: lib/streams/ has no stream whose events are buffered";
    const id = await this.#postExample();
    demand(!(await this.#isStored(id)), "it was stored before the tick");
    await this.#tick();
    demand(await this.#isStored(id), "it is not stored after the tick");
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
    demand(await this.#isStored(ids.at(-1) ?? ""), "it is not stored after the flush");
    return flushes()[0]?.url ?? "";
  }

  /** The command line with --prod finds everything by terraform output and gcloud. */
  async #askAround(): Promise<string> {
    const supervisor = await this.#terraform.output("supervisor_url");
    demand((await this.#curl(`${supervisor}/status`)).status === 403, "a stranger may ask the supervisor");
    const { cloud } = this.#world;
    const scheduler = cloud.credentials.idToken(
      `spillway-scheduler@${PROJECT}.iam.gserviceaccount.com`,
      supervisor,
    );
    const asScheduler = await this.#curl(`${supervisor}/status`, { authorization: `Bearer ${scheduler}` });
    demand(
      asScheduler.status === 403 && asScheduler.text.includes("caller-not-allowed"),
      "the scheduler may do more than drain",
    );
    const account = await this.#terraform.output("operator_service_account");
    const { out, err } = await run(
      "gcloud",
      [
        "auth",
        "print-identity-token",
        `--audiences=${supervisor}`,
        "--include-email",
        `--impersonate-service-account=${account}`,
      ],
      this.#env,
    );
    const doctor = await this.#curl(`${supervisor}/doctor`, { authorization: `Bearer ${out.trim()}` });
    demand(doctor.status === 200, `the doctor answered an operator ${doctor.status} ${doctor.text}${err}`);
    return "403, 403, 200";
  }

  async #planAgain(): Promise<string> {
    const { code, out } = await this.#terraform.run("plan", ["-detailed-exitcode"], [0, 2]);
    demand(code === 0, out);
    return "no changes";
  }

  /** As docs/operations.md says: ingest, drain, supervisor. */
  async #rollBack(): Promise<string> {
    const { cloud } = this.#world;
    const place = `projects/${PROJECT}/locations/${REGION}/services`;
    const older: string[] = [];
    for (const name of ["spillway-ingest", "spillway-supervisor"]) {
      const revisions = cloud.resources.list(`${place}/${name}/revisions`);
      const revision = revisions.at(-2)?.name.replace(/.*\//, "") ?? "";
      const args = ["run", "services", "update-traffic", name, `--project=${PROJECT}`, `--region=${REGION}`];
      await this.#tick();
      const { code, err } = await run("gcloud", [...args, `--to-revisions=${revision}=100`], this.#env);
      demand(code === 0, err);
      const [serving] = (cloud.resources.get(`${place}/${name}`) as Service).traffic;
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
    const left = this.#world.cloud.resources.names.filter((name) => !/\.googleapis\.com$/.test(name));
    demand(left.length === 0, `left: ${left.join(", ")}`);
    return "the APIs stay on, and both databases exist";
  }
}

async function rehearse(): Promise<number> {
  if (!(await isInstalled())) {
    console.log("SKIPPED rehearsal: terraform is not in PATH, so the deployment was not rehearsed");
    return process.env.REHEARSE === "required" ? 1 : 0;
  }
  const lines: string[] = [];
  const world = await openWorld((line) => lines.push(line));
  try {
    const { steps } = await Rehearsal.open(world);
    for (const [i, [name, step]] of steps.entries()) {
      const beganMs = performance.now();
      const found = await step().catch((error: Error) => error);
      const seconds = ((performance.now() - beganMs) / 1000).toFixed(0);
      if (found instanceof Error) {
        console.log(
          `FAILED ${i + 1} ${name} (${seconds} s)\n${found.message}\n${lines.slice(-20).join("\n")}`,
        );
        return 1;
      }
      console.log(`ok ${i + 1} ${name} (${seconds} s): ${found}`);
    }
    return 0;
  } finally {
    await world.close();
  }
}

process.exit(await rehearse());
