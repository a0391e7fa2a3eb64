/**
 * Cloud Run's jobs, for the rehearsal: an execution is one process of the program that the job's container names, with its environment, its
 * sockets and its network. The caller waits for it.
 */
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { Cloud } from "./cloud.ts";
import { Refused, type Resource } from "./resources.ts";
import type { Container, Place } from "./templates.ts";

/** Where the image's /app/ is here. */
const APP = fileURLToPath(new URL("../..", import.meta.url));

export interface Job extends Resource {
  template: { template: Place & { containers: Container[] } };
}

/** Runs it to its end. Throws Refused with what it wrote if it fails, or if nobody pushed its image. */
export async function runJob(cloud: Cloud, name: string): Promise<object> {
  const { template } = (cloud.resources.get(name) as Job).template;
  const [container = { image: "" }] = template.containers;
  if (!cloud.images.has(container.image)) throw new Refused(400, `Image '${container.image}' not found.`);
  const env = await cloud.run.environmentOf(container, template);
  const words = [...(container.command ?? []), ...(container.args ?? [])];
  const [program = "", ...args] = words.map((word) => word.replace(/^\/app\//, APP));
  const { code, said } = await runToEnd(program, args, env);
  if (code !== 0) throw new Refused(400, `The execution of ${name} failed: ${said}`);
  return { done: true };
}

function runToEnd(program: string, args: string[], env: NodeJS.ProcessEnv) {
  return new Promise<{ code: number; said: string }>((resolve) => {
    let said = "";
    const child = spawn(program, args, { cwd: APP, env, stdio: ["ignore", "pipe", "pipe"] });
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding("utf8").on("data", (text: string) => {
        said += text;
      });
    child.once("error", ({ message }) => resolve({ code: 1, said: message }));
    child.once("close", (code) => resolve({ code: code ?? 1, said }));
  });
}
