/**
 * Keeps one of the two functions running. As on Cloud Run, a function that dies is started again, here on the same port. A newer build
 * of it can take over: it is loaded beside the running one first, so one that does not load changes nothing.
 */
import { FunctionChild } from "./function-child.ts";

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
  /** Loads another build beside the running one. Throws a NotLoaded if it can't be loaded. Only where the function `tells`. */
  prepare(source: string): Promise<Successor>;
}

/** A process that is loaded and waits for the port. One of the two is to be called. */
export interface Successor {
  /** Ends the process before it as on SIGTERM, and resolves when this one answers and that one is gone. */
  takeOver(): Promise<void>;
  discard(): Promise<void>;
}

/** A function that ended, or fell silent, before it could answer. */
export class NotLoaded extends Error {
  override name = "NotLoaded";
  /** What it wrote, the last lines. */
  readonly lines: readonly string[];

  constructor(message: string, lines: readonly string[]) {
    super(message);
    this.lines = lines;
  }
}

export interface FunctionProcessOptions {
  target: "ingest" | "supervisor" | "all";
  port: number;
  /** The file that serves both. @default the `main` of the working directory's installation, made by `npm run build` */
  source?: string | undefined;
  /** The whole environment, not additions to this process's. */
  env: NodeJS.ProcessEnv;
  /** Whether it writes lines for `npm start` (beside-function.mjs). @default false */
  tells?: boolean | undefined;
  /** Called for each line the process writes. */
  onLine?: ((line: string, stream: "stdout" | "stderr") => void) | undefined;
  /** Called when another process answers: one that was started again, or that took over. */
  onRestarted?: (() => void) | undefined;
  /** Gives up waiting for the first answer. */
  signal?: AbortSignal | undefined;
}

const firstPauseMs = 200;
const longestPauseMs = 5_000;

/** Starts the function and resolves when GET /health answers 200. Throws with what it wrote last if it never does. */
export async function startFunction(options: FunctionProcessOptions): Promise<FunctionProcess> {
  const keeper = new Keeper(options);
  await keeper.start();
  return {
    target: options.target,
    port: options.port,
    url: `http://127.0.0.1:${options.port}`,
    pid: () => keeper.pid,
    stop: () => keeper.stop(),
    kill: (signal) => keeper.kill(signal),
    prepare: (source) => keeper.prepare(source),
  };
}

class Keeper {
  readonly #options: FunctionProcessOptions;
  #child: FunctionChild | undefined;
  /** Loaded, or being loaded, to take over. */
  #next: FunctionChild | undefined;
  #isStopping = false;
  #restartTimer: NodeJS.Timeout | undefined;
  #pauseMs = firstPauseMs;
  #source: string | undefined;

  constructor(options: FunctionProcessOptions) {
    this.#options = options;
    this.#source = options.source;
  }

  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  async start(): Promise<void> {
    const child = this.#spawn();
    try {
      await child.untilAnswering();
    } catch (error) {
      this.#isStopping = true;
      await child.end();
      throw error;
    }
    this.#keep(child);
  }

  kill(signal: NodeJS.Signals): void {
    this.#child?.kill(signal);
  }

  async stop(): Promise<void> {
    this.#isStopping = true;
    clearTimeout(this.#restartTimer);
    await Promise.all([this.#child?.end(), this.#next?.end()]);
  }

  async prepare(source: string): Promise<Successor> {
    if (this.#isStopping) throw new NotLoaded("the function is being stopped", []);
    const next = new FunctionChild({ ...this.#options, source, takesOver: true });
    this.#next = next;
    try {
      await next.untilLoaded();
    } catch (error) {
      await next.end();
      throw new NotLoaded((error as Error).message, next.lastLines);
    }
    return { takeOver: () => this.#replaceBy(next, source), discard: () => next.end() };
  }

  async #replaceBy(next: FunctionChild, source: string): Promise<void> {
    const old = this.#child;
    clearTimeout(this.#restartTimer);
    this.#child = next;
    this.#source = source;
    this.#keep(next);
    next.speak();
    const ending = old?.end();
    await next.untilListening();
    await next.untilAnswering();
    this.#pauseMs = firstPauseMs;
    if (!this.#isStopping) this.#options.onRestarted?.();
    await ending;
  }

  #spawn(): FunctionChild {
    this.#child = new FunctionChild({ ...this.#options, source: this.#source });
    return this.#child;
  }

  /** Starts it again when it dies, unless another one has taken over. */
  #keep(child: FunctionChild): void {
    void child.ended.then(() => {
      if (child === this.#child) this.#restart();
    });
  }

  /** Pauses longer each time a process dies before it answered, so that a broken one does not eat the machine. */
  #restart(): void {
    if (this.#isStopping) return;
    this.#restartTimer = setTimeout(async () => {
      const child = this.#spawn();
      const isAnswering = await child.untilAnswering().then(
        () => true,
        () => false,
      );
      if (child !== this.#child) return;
      this.#pauseMs = isAnswering ? firstPauseMs : Math.min(this.#pauseMs * 2, longestPauseMs);
      if (isAnswering && !this.#isStopping) this.#options.onRestarted?.();
      if (!isAnswering) child.kill("SIGKILL");
      this.#keep(child);
    }, this.#pauseMs);
  }
}
