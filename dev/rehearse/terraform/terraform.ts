/** Terraform in a copy of terraform/, with the rehearsal's providers in place of the real ones, which are not downloaded. */
import { execFile } from "node:child_process";
import { chmodSync, cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { OWNER } from "../asked.ts";
import { PROJECT_ROOT } from "../builds.ts";
import type { Cloud } from "../cloud.ts";

const PROVIDER = fileURLToPath(new URL("./provider.ts", import.meta.url));
const TSX = join(PROJECT_ROOT, "node_modules/tsx/dist/esm/index.mjs");

export interface Ran {
  code: number;
  out: string;
  err: string;
}

/** Runs a program to its end. */
export function run(
  program: string,
  args: string[],
  env: NodeJS.ProcessEnv,
  cwd = PROJECT_ROOT,
): Promise<Ran> {
  return new Promise((resolve) => {
    const child = execFile(program, args, { env, cwd, maxBuffer: 64e6 }, (error, out, err) => {
      const code = error === null ? 0 : typeof error.code === "number" ? error.code : 127;
      resolve({ code, out, err: code === 127 ? `${err}${error?.message}` : err });
    });
    child.stdin?.end();
  });
}

export const isInstalled = async (): Promise<boolean> =>
  (await run("terraform", ["version"], process.env)).code === 0;

export class Terraform {
  readonly folder: string;
  readonly #env: NodeJS.ProcessEnv;

  /** `variables` are those that terraform.tfvars and TF_VAR_… would hold. */
  static async open(cloud: Cloud, folder: string, variables: Record<string, unknown>): Promise<Terraform> {
    const copy = join(folder, "terraform");
    const isOurs = (file: string) => !/\.terraform|tfstate|terraform\.tfvars$|\/tests(\/|$)/.test(file);
    cpSync(join(PROJECT_ROOT, "terraform"), copy, { recursive: true, filter: isOurs });
    writeFileSync(join(copy, "terraform.tfvars.json"), JSON.stringify(variables));
    const config = join(folder, "terraform.rc");
    writeFileSync(config, overrides(copy, folder));
    const terraform = new Terraform(copy, {
      ...(await cloud.environmentOf(OWNER)),
      GOOGLE_OAUTH_ACCESS_TOKEN: cloud.credentials.accessToken(OWNER),
      SPILLWAY_TERRAFORM: copy,
      TF_CLI_CONFIG_FILE: config,
      TF_DISABLE_PLUGIN_TLS: "1",
      TF_IN_AUTOMATION: "1",
      TF_INPUT: "0",
      CHECKPOINT_DISABLE: "1",
    });
    await terraform.run("get");
    return terraform;
  }

  private constructor(folder: string, env: NodeJS.ProcessEnv) {
    this.folder = folder;
    this.#env = env;
  }

  /** Runs a command. Throws what Terraform says unless it ends with one of these exit statuses. */
  async run(command: string, args: string[] = [], codes = [0]): Promise<Ran> {
    const done = await run(
      "terraform",
      [`-chdir=${this.folder}`, command, ...args, ...plainly(command)],
      this.#env,
    );
    if (codes.includes(done.code)) return done;
    throw new Error(`terraform ${command} ended with ${done.code}\n${(done.err || done.out).slice(0, 6000)}`);
  }

  async output(name: string): Promise<string> {
    return (await this.run("output", ["-raw", name])).out;
  }
}

/** Each provider that the files name is a program of this folder. */
function overrides(copy: string, folder: string): string {
  const files = readdirSync(copy, { recursive: true, encoding: "utf8" }).filter((file) =>
    file.endsWith(".tf"),
  );
  const texts = files.map((file) => readFileSync(join(copy, file), "utf8")).join("\n");
  const sources = new Set(
    [...texts.matchAll(/source\s*= "([a-z]+\/[a-z]+)"/g)].map((match) => match[1] ?? ""),
  );
  const lines = [...sources].map((source) => {
    const name = source.replace(/.*\//, "");
    const bin = join(folder, "providers", name);
    mkdirSync(bin, { recursive: true });
    const program = join(bin, `terraform-provider-${name}`);
    writeFileSync(program, `#!/bin/sh\nexec "${process.execPath}" --import="${TSX}" "${PROVIDER}" ${name}\n`);
    chmodSync(program, 0o755);
    return `    "${source}" = "${bin}"`;
  });
  return `provider_installation {\n  dev_overrides {\n${lines.join("\n")}\n  }\n  direct {}\n}\n`;
}

/** Without colours, where a command can have them. */
const plainly = (command: string): string[] =>
  ["apply", "destroy", "plan"].includes(command) ? ["-no-color"] : [];
