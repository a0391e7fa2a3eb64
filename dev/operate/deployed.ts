/**
 * The deployed system, for `--prod`: terraform says where it is, and gcloud gives identity tokens of the operators' service account.
 * Whoever runs it is logged in to gcloud and may impersonate that account (Terraform's `operators`); no secret is read.
 */
import { execFile } from "node:child_process";
import { join } from "node:path";
import { type Supervisor, supervisorAt } from "./ask-supervisor.ts";
import { CommandFailed, printable } from "./command-line.ts";
import { yourInstallation } from "./yours.ts";

export interface Deployed {
  ingestUrl: string;
  supervisor: Supervisor;
}

/** Finds the deployed system. Throws a CommandFailed if terraform does not know one, or gcloud gives no token. */
export async function openDeployed(): Promise<Deployed> {
  const outputs = await readOutputs();
  const supervisorUrl = outputs("supervisor_url");
  const account = outputs("operator_service_account");
  const tokenOf = identityTokens(
    () => printIdentityToken(account, supervisorUrl),
    () => performance.now(),
  );
  return { ingestUrl: outputs("ingest_url"), supervisor: supervisorAt(supervisorUrl, tokenOf) };
}

/** A token is good for an hour. */
const TOKEN_MS = 50 * 60_000;

/** Keeps a token for 50 minutes, by a clock that is never set back, and takes a new one sooner if it was refused. */
export function identityTokens(
  print: () => Promise<string>,
  monotonicMs: () => number,
): (wasRefused: boolean) => Promise<string> {
  let kept: { token: string; untilMs: number } | undefined;
  return async (wasRefused) => {
    if (kept === undefined || wasRefused || monotonicMs() >= kept.untilMs) {
      const untilMs = monotonicMs() + TOKEN_MS;
      kept = { token: await print(), untilMs };
    }
    return kept.token;
  };
}

const NO_OUTPUTS = "terraform/ tells no outputs";
const NO_TOKEN =
  "gcloud gives no identity token (log in with gcloud auth login, as one of Terraform's operators)";

/** Reads terraform's outputs; the function it returns throws a CommandFailed for one that is missing. */
async function readOutputs(): Promise<(name: string) => string> {
  const folder = join(yourInstallation().root, "terraform");
  const text = await run("terraform", [`-chdir=${folder}`, "output", "-json", "-no-color"], {
    missing: "--prod asks terraform where the deployed system is",
    failed: NO_OUTPUTS,
  });
  const outputs = parseOutputs(text);
  return (name) => {
    const value = outputs[name]?.value;
    if (typeof value === "string" && value !== "") return value;
    throw new CommandFailed(
      `terraform/ has no output ${name}: apply it first, in a checkout that has its state (docs/operations.md, The commands).`,
    );
  };
}

function parseOutputs(text: string): Record<string, { value?: unknown } | null> {
  try {
    const outputs: unknown = JSON.parse(text);
    if (typeof outputs === "object" && outputs !== null)
      return outputs as Record<string, { value?: unknown } | null>;
  } catch {
    // as for another value
  }
  throw new CommandFailed(`${NO_OUTPUTS}: it printed no JSON object.`);
}

async function printIdentityToken(account: string, audience: string): Promise<string> {
  const args = ["auth", "print-identity-token", `--audiences=${audience}`, "--include-email"];
  const token = await run("gcloud", [...args, `--impersonate-service-account=${account}`], {
    missing: "--prod gets its identity token from gcloud",
    failed: NO_TOKEN,
  });
  if (/^[\w.~+/=-]+$/.test(token.trim())) return token.trim();
  throw new CommandFailed(`${NO_TOKEN}: it printed ${token.trim() === "" ? "nothing" : "something else"}.`);
}

/** Runs a program without asking anything, and returns what it writes. */
function run(program: string, args: string[], say: { missing: string; failed: string }): Promise<string> {
  const env = { ...process.env, CLOUDSDK_CORE_DISABLE_PROMPTS: "1", TF_INPUT: "0" };
  return new Promise((resolve, reject) => {
    const child = execFile(program, args, { env, maxBuffer: 4_000_000 }, (error, stdout, stderr) => {
      if (error === null) resolve(stdout);
      else if (error.code === "ENOENT")
        reject(new CommandFailed(`${program} is not installed, or not in PATH: ${say.missing}.`));
      else if (error.code === "EACCES") reject(new CommandFailed(`${program} can't be run (EACCES).`));
      else reject(new CommandFailed(`${say.failed}: ${firstLine(stderr)}`));
    });
    child.stdin?.end();
  });
}

/** The line that says most: programs put warnings before an error, and frames around it. */
function firstLine(stderr: string): string {
  const lines = stderr
    .split("\n")
    .map((line) => printable(line.replace(/^[│╷╵\s]+/, "").trim()))
    .filter((line) => line !== "");
  return lines.find((line) => /error/i.test(line)) ?? lines[0] ?? "it does not say why.";
}
