/**
 * Cloud Build, for the rehearsal: runs the steps of cloudbuild.yaml one after the other, as the build's service account, with the programs
 * of bin/ in place of the images' gcloud, docker and curl. Steps that need another machine (npm ci, the tests) are said to be left out.
 * A step in an image that was pushed runs the built program here.
 */
import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import type { ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parse } from "yaml";
import type { Asked } from "./asked.ts";
import type { Cloud } from "./cloud.ts";
import { answerGoogle } from "./google.ts";
import { Refused } from "./resources.ts";

export const PROJECT_ROOT = fileURLToPath(new URL("../..", import.meta.url));
/** The programs in place of the images' own. */
export const BIN = fileURLToPath(new URL("./bin", import.meta.url));
/** What `npm run check` and the machine have done already. */
const LEFT_OUT = new Set(["install", "check"]);

/** Where an image has this repository: as itself, or as a package. */
const IN_IMAGE = /^\/app\/(node_modules\/spillway\/)?/;

interface Step {
  id: string;
  name: string;
  script?: string;
  entrypoint?: string;
  args?: string[];
  env?: string[];
  secretEnv?: string[];
}

export interface BuildFile {
  substitutions?: Record<string, string>;
  logsBucket?: string;
  options?: { logging?: string; automapSubstitutions?: boolean };
  availableSecrets?: { secretManager: { versionName: string; env: string }[] };
  steps: Step[];
}

export const readBuildFile = (file = join(PROJECT_ROOT, "cloudbuild.yaml")): BuildFile =>
  parse(readFileSync(file, "utf8")) as BuildFile;

/** Replaces each ${NAME} in the texts of a value, also in those that come in with another. */
function substitute<Value>(value: Value, by: Record<string, string>): Value {
  const inText = (text: string): string => {
    const next = text.replace(/(?<!\$)\$\{([A-Z_]+)\}/g, (whole, name: string) => by[name] ?? whole);
    return next === text ? text : inText(next);
  };
  return JSON.parse(JSON.stringify(value), (_, one) => (typeof one === "string" ? inText(one) : one));
}

export interface BuildResult {
  id: string;
  /** The step that failed; undefined: none. */
  failed: string | undefined;
  log: string;
}

/** What all steps of a build have in common. */
interface Machine {
  secrets: Record<string, string>;
  /** In place of /workspace, in which a step leaves files for later ones. The sources are where they are. */
  workspace: string;
  /** Over the environment of each step. */
  more: NodeJS.ProcessEnv;
  /** Holds the sources. */
  folder: string;
}

export class Builds {
  readonly #cloud: Cloud;

  constructor(cloud: Cloud) {
    this.#cloud = cloud;
  }

  /** POST …/builds: the answer is the log while it runs, if gcloud could read it, and then a line that says how it ended. */
  async serve({ body, path }: Asked, res: ServerResponse): Promise<void> {
    const { substitutions = {}, serviceAccount = "" } = body as Record<string, never>;
    const project = /^projects\/([^/]+)/.exec(path)?.[1] ?? "";
    res.writeHead(200, { "content-type": "text/plain" });
    const { id, failed } = await this.run({
      project,
      substitutions,
      serviceAccount,
      onLog: (text) => res.write(text),
    });
    res.end(failed === undefined ? `\nBUILD ${id} SUCCESS\n` : `\nBUILD ${id} FAILURE at ${failed}\n`);
  }

  /** Runs a build. Throws Refused if the build may not begin. */
  async run(asked: {
    project: string;
    substitutions: Record<string, string>;
    serviceAccount: string;
    onLog?: (text: string) => void;
    /** Over the environment of each step. */
    env?: NodeJS.ProcessEnv;
    /** What is built. @default this repository */
    folder?: string;
  }): Promise<BuildResult> {
    const id = randomUUID();
    const account = asked.serviceAccount.replace(/^.*\//, "");
    const { folder = PROJECT_ROOT } = asked;
    const file = readBuildFile(join(folder, "cloudbuild.yaml"));
    const names = { ...file.substitutions, ...asked.substitutions, PROJECT_ID: asked.project, BUILD_ID: id };
    const build = substitute(file, names);
    const isStreamed = this.#demandLogs(build, account);
    const secrets = await this.#secretsOf(build, account);
    const more = { ...(build.options?.automapSubstitutions ? names : {}), ...asked.env };
    let log = "";
    const onLog = (text: string) => {
      log += text;
      if (isStreamed) asked.onLog?.(text);
    };
    const workspace = mkdtempSync(join(tmpdir(), "spillway-build-"));
    const machine = { secrets, workspace, more, folder };
    try {
      for (const step of build.steps) {
        onLog(`\n── ${step.id}${LEFT_OUT.has(step.id) ? ": left out of the rehearsal" : ""}\n`);
        if (LEFT_OUT.has(step.id)) continue;
        if ((await this.#runStep(step, account, machine, onLog)) !== 0) return { id, failed: step.id, log };
      }
      return { id, failed: undefined, log };
    } finally {
      rmSync(workspace, { recursive: true, force: true });
    }
  }

  /** Whether gcloud can show the log while the build runs: only from a bucket, which the build has to be able to write. */
  #demandLogs({ logsBucket, options }: BuildFile, account: string): boolean {
    if (options?.logging === "CLOUD_LOGGING_ONLY") return false;
    const bucket = `storage/v1/b/${logsBucket?.replace(/^gs:\/\//, "").replace(/\/.*$/, "")}`;
    if (!this.#cloud.resources.has(bucket, account, "roles/storage.admin"))
      throw new Refused(400, `the service account ${account} can't write logs to ${logsBucket}`);
    return true;
  }

  async #secretsOf({ availableSecrets }: BuildFile, account: string): Promise<Record<string, string>> {
    const found: Record<string, string> = {};
    for (const { versionName, env } of availableSecrets?.secretManager ?? []) {
      const asked = { method: "GET", host: "secretmanager.googleapis.com", path: `${versionName}:access` };
      const more = { query: new URLSearchParams(), body: {}, caller: account, through: account };
      const { payload } = (await answerGoogle(this.#cloud, { ...asked, ...more })) as {
        payload: { data: string };
      };
      found[env] = Buffer.from(payload.data, "base64").toString();
    }
    return found;
  }

  async #runStep(
    step: Step,
    account: string,
    given: Machine,
    onLog: (text: string) => void,
  ): Promise<number> {
    const own = await this.#cloud.environmentOf(account);
    const ofStep = Object.fromEntries(
      (step.env ?? []).map((one) => one.replace("=/workspace/", `=${given.workspace}/`).split(/=(.*)/s, 2)),
    );
    const env = {
      ...own,
      ...ofStep,
      ...given.more,
      ...pick(given.secrets, step.secretEnv ?? []),
      PATH: `${BIN}:${own.PATH}`,
    };
    const args = (step.args ?? []).map((arg) => arg.replace(IN_IMAGE, PROJECT_ROOT));
    const script = step.script?.replaceAll(/ \/app\/(node_modules\/spillway\/)?/g, ` ${PROJECT_ROOT}`);
    const [program, ...rest] = script ? ["bash", "-c", script] : [programOf(step), ...args];
    return new Promise((resolve) => {
      const child = spawn(program as string, rest, {
        cwd: given.folder,
        env,
        stdio: ["ignore", "pipe", "pipe"],
      });
      child.stdout.setEncoding("utf8").on("data", onLog);
      child.stderr.setEncoding("utf8").on("data", onLog);
      child.once("error", (error) => onLog(`${error.message}\n`));
      child.once("close", (code) => resolve(code ?? 1));
    });
  }
}

/** An image's program: that of Google's builders is named like them. */
const programOf = ({ entrypoint, name }: Step): string =>
  entrypoint ?? name.replace(/^.*\//, "").replace(/:.*$/, "");

const pick = (all: Record<string, string>, names: readonly string[]) =>
  Object.fromEntries(names.map((name) => [name, all[name]]));
