/**
 * Runs one of the two functions under functions-framework in a process of its own. As on Cloud Run, a function that dies is
 * started again, here on the same port. `stop` works as on Cloud Run: SIGTERM, then SIGKILL, here after 12 s.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { NODE_FLAGS } from "./node-flags.ts";
import { endWithStarter } from "./server-process.ts";

export interface FunctionProcess {
  target: string;
  url: string;
  port: number;
  /** The listening process; another one after a restart. */
  pid(): number;
  /** Ends the process for good and resolves when it is gone. May be repeated. */
  stop(): Promise<void>;
  /** Sends a signal to the current process; after one that kills, it is started again. */
  kill(signal: NodeJS.Signals): void;
}

export interface FunctionProcessOptions {
  target: "ingest" | "supervisor";
  port: number;
  /** The file that serves both. @default package.json's `main`, made by `npm run build` */
  source?: string | undefined;
  /** The whole environment, not additions to this process's. */
  env: NodeJS.ProcessEnv;
  /** Called for each line the process writes. */
  onLine?: ((line: string, stream: "stdout" | "stderr") => void) | undefined;
  /** Called when a restarted process answers again. */
  onRestarted?: (() => void) | undefined;
  /** Gives up waiting for the first answer. */
  signal?: AbortSignal | undefined;
}

const projectRoot = fileURLToPath(new URL("../..", import.meta.url));
const framework = join(projectRoot, "node_modules/@google-cloud/functions-framework/build/src/main.js");
const firstPauseMs = 200;
const longestPauseMs = 5_000;
const answerTimeoutMs = 30_000;
const stopTimeoutMs = 12_000;

/** Starts the function and resolves when GET /health answers 200. Throws with what it wrote last if it never does. */
export async function startFunction(options: FunctionProcessOptions): Promise<FunctionProcess> {
  const keeper = new Keeper(options);
  await keeper.start();
  return {
    target: options.target,
    port: options.port,
    url: keeper.url,
    pid: () => keeper.pid,
    stop: () => keeper.stop(),
    kill: (signal) => keeper.kill(signal),
  };
}

class Keeper {
  readonly url: string;
  readonly #options: FunctionProcessOptions;
  #child: ChildProcess | undefined;
  #ended: Promise<void> = Promise.resolve();
  #isStopping = false;
  #restartTimer: NodeJS.Timeout | undefined;
  #pauseMs = firstPauseMs;
  #lastLines: string[] = [];

  constructor(options: FunctionProcessOptions) {
    this.#options = options;
    this.url = `http://127.0.0.1:${options.port}`;
  }

  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  async start(): Promise<void> {
    this.#spawn();
    try {
      await this.#waitUntilAnswering();
    } catch (error) {
      this.#isStopping = true;
      await this.#end();
      throw error;
    }
    void this.#ended.then(() => this.#restart());
  }

  kill(signal: NodeJS.Signals): void {
    this.#child?.kill(signal);
  }

  async stop(): Promise<void> {
    this.#isStopping = true;
    clearTimeout(this.#restartTimer);
    await this.#end();
  }

  #spawn(): void {
    const { target, port, source = projectRoot, env, onLine } = this.#options;
    this.#lastLines = [];
    const child = spawn(
      process.execPath,
      [...NODE_FLAGS, framework, "--target", target, "--port", String(port), "--source", source],
      {
        cwd: projectRoot,
        env,
        detached: true,
        stdio: ["ignore", "pipe", "pipe"],
      },
    );
    this.#child = child;
    endWithStarter(child, "SIGTERM");
    this.#ended = new Promise((resolve) => {
      child.once("exit", () => resolve());
      child.once("error", () => resolve());
    });
    for (const name of ["stdout", "stderr"] as const) {
      createInterface({ input: child[name] }).on("line", (line) => {
        this.#lastLines = [...this.#lastLines.slice(-4), line];
        onLine?.(line, name);
      });
    }
  }

  async #end(): Promise<void> {
    const child = this.#child;
    if (!child || this.#hasEnded()) return;
    const insist = setTimeout(() => child.kill("SIGKILL"), stopTimeoutMs);
    child.kill("SIGTERM");
    await this.#ended;
    clearTimeout(insist);
  }

  #hasEnded(): boolean {
    return this.#child?.exitCode !== null || this.#child.signalCode !== null;
  }

  /** Pauses longer each time a process dies before it answered, so that a broken one does not eat the machine. */
  #restart(): void {
    if (this.#isStopping) return;
    this.#restartTimer = setTimeout(async () => {
      this.#spawn();
      const ended = this.#ended;
      const isAnswering = await this.#waitUntilAnswering().then(
        () => true,
        () => false,
      );
      this.#pauseMs = isAnswering ? firstPauseMs : Math.min(this.#pauseMs * 2, longestPauseMs);
      if (isAnswering && !this.#isStopping) this.#options.onRestarted?.();
      if (!isAnswering) this.kill("SIGKILL");
      void ended.then(() => this.#restart());
    }, this.#pauseMs);
  }

  async #waitUntilAnswering(): Promise<void> {
    const giveUpAtMs = performance.now() + answerTimeoutMs;
    while (performance.now() < giveUpAtMs) {
      this.#options.signal?.throwIfAborted();
      if (this.#hasEnded()) throw this.#failure("ended at once");
      if (await isHealthy(this.url)) return;
      await new Promise((done) => setTimeout(done, 40));
    }
    throw this.#failure(`did not answer GET /health within ${answerTimeoutMs / 1000} s`);
  }

  #failure(what: string): Error {
    const said = this.#lastLines.map((line) => line.trim()).join(" / ");
    return new Error(`The ${this.#options.target} function ${what}${said && `: ${said.slice(0, 600)}`}`);
  }
}

async function isHealthy(url: string): Promise<boolean> {
  try {
    const response = await fetch(`${url}/health`, { signal: AbortSignal.timeout(2000) });
    await response.arrayBuffer();
    return response.status === 200;
  } catch {
    return false;
  }
}
