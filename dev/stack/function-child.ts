/**
 * One process of a function under functions-framework: how it is started, what it says, and how it is ended. As on Cloud Run, it is
 * ended by SIGTERM and then by SIGKILL, here after 12 s.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { findInstallation } from "../../lib/installation.ts";
import type { FunctionProcessOptions } from "./function-process.ts";
import { NODE_FLAGS } from "./node-flags.ts";
import { frameworkProgram } from "./package-files.ts";
import { endWithStarter } from "./server-process.ts";

type LineListener = NonNullable<FunctionProcessOptions["onLine"]>;
type Line = Parameters<LineListener>;

const besideFunction = new URL("beside-function.mjs", import.meta.url).href;
const stopTimeoutMs = 12_000;
const answerTimeoutMs = 30_000;
/** Lines that are kept to tell why it failed. */
const KEPT_LINES = 40;

export interface ChildOptions extends FunctionProcessOptions {
  /** Whether another process has the port now: this one waits for it, and its lines wait until `speak`. */
  takesOver?: boolean;
}

export class FunctionChild {
  /** Resolves when the process has ended, however it ended. */
  readonly ended: Promise<void>;
  readonly #options: ChildOptions;
  readonly #process: ChildProcess;
  readonly #lines: Line[] = [];
  #unsaid: Line[] | undefined;

  constructor(options: ChildOptions) {
    this.#options = options;
    const { target, port, source = findInstallation().root, env, tells, takesOver } = options;
    if (takesOver) this.#unsaid = [];
    const flags = tells ? [...NODE_FLAGS, "--import", besideFunction] : NODE_FLAGS;
    this.#process = spawn(
      process.execPath,
      [...flags, frameworkProgram(), "--target", target, "--port", String(port), "--source", source],
      {
        env: takesOver ? { ...env, SPILLWAY_TAKES_OVER: "1" } : env,
        detached: true,
        stdio: ["ignore", "pipe", "pipe"],
      },
    );
    endWithStarter(this.#process, "SIGTERM");
    this.ended = new Promise((resolve) => {
      this.#process.once("close", () => resolve()); // it has said everything by then
      this.#process.once("error", () => resolve());
    });
    this.#listen("stdout");
    this.#listen("stderr");
  }

  get pid(): number {
    return this.#process.pid ?? 0;
  }

  get hasEnded(): boolean {
    return this.#process.exitCode !== null || this.#process.signalCode !== null;
  }

  /** What it said last, the oldest first. */
  get lastLines(): readonly string[] {
    return this.#lines.map(([line]) => line);
  }

  kill(signal: NodeJS.Signals): void {
    this.#process.kill(signal);
  }

  /** Ends the process and resolves when it is gone. May be repeated. */
  async end(): Promise<void> {
    if (this.hasEnded) return;
    const insist = setTimeout(() => this.#process.kill("SIGKILL"), stopTimeoutMs);
    this.#process.kill("SIGTERM");
    await this.ended;
    clearTimeout(insist);
  }

  /** Hands on the lines that waited, and from now on each line at once. */
  speak(): void {
    const unsaid = this.#unsaid ?? [];
    this.#unsaid = undefined;
    for (const [line, stream] of unsaid) this.#options.onLine?.(line, stream);
  }

  /** Resolves when it answers GET /health. Throws with what it wrote last if it never does, or the signal's reason. */
  async untilAnswering(): Promise<void> {
    await this.#until(() => isHealthy(this.#options.port));
  }

  /** Resolves when it is loaded, and only waits for the port, or has it. Throws like `untilAnswering`. */
  async untilLoaded(): Promise<void> {
    await this.#until(async () => this.#hasSaid("local.waiting") || this.#hasSaid("local.listening"));
  }

  /** Resolves when it has the port, after another process had it. Throws like `untilAnswering`. */
  async untilListening(): Promise<void> {
    await this.#until(async () => this.#hasSaid("local.listening"));
  }

  async #until(isSo: () => Promise<boolean>): Promise<void> {
    const giveUpAtMs = performance.now() + answerTimeoutMs;
    while (performance.now() < giveUpAtMs) {
      this.#options.signal?.throwIfAborted();
      if (this.hasEnded) {
        await this.ended;
        throw this.#failure("ended at once");
      }
      if (await isSo()) return;
      await new Promise((done) => setTimeout(done, 20));
    }
    throw this.#failure(`did not answer GET /health within ${answerTimeoutMs / 1000} s`);
  }

  #failure(what: string): Error {
    const said = this.lastLines
      .slice(-5)
      .map((line) => line.trim())
      .join(" / ");
    return new Error(`The ${this.#options.target} function ${what}${said && `: ${said.slice(0, 600)}`}`);
  }

  #hasSaid(event: string): boolean {
    return this.#lines.some(([line]) => line.startsWith(`{"event":"${event}"`));
  }

  #listen(stream: "stdout" | "stderr"): void {
    const input = this.#process[stream];
    if (!input) return;
    createInterface({ input }).on("line", (line) => {
      this.#lines.push([line, stream]);
      if (this.#lines.length > KEPT_LINES) this.#lines.shift();
      if (this.#unsaid) this.#unsaid.push([line, stream]);
      else this.#options.onLine?.(line, stream);
    });
  }
}

async function isHealthy(port: number): Promise<boolean> {
  try {
    const response = await fetch(`http://127.0.0.1:${port}/health`, { signal: AbortSignal.timeout(2000) });
    await response.arrayBuffer();
    return response.status === 200;
  } catch {
    return false;
  }
}
