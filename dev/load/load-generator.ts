/**
 * The load generator: a process of its own on raw keep-alive sockets, as cheap as Node allows, since it shares the
 * machine with what it measures.
 *
 * Closed loop: each connection sends its next request when the last was answered. Open loop: requests are due at
 * the offered rate whatever becomes of the earlier ones; one that finds no free connection waits, and the wait
 * counts. Reads a LoadJob from its parent, answers with a LoadResult. The message "stop" ends an open loop: nothing more is
 * offered, requests that wait for a connection are given up, and the answers on their way are awaited.
 */
import { connect, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { Histogram } from "./histogram.ts";
import type { LoadJob, LoadResult, LoadSecond } from "./load-job.ts";
import { LoadTicks } from "./load-ticks.ts";
import { type Answered, idsOf, parseAnswer, type Wire, wiresOf } from "./raw-http.ts";

interface Lane {
  socket: Socket;
  sent: Wire | undefined;
  dueAtMs: number;
  received: Buffer | undefined;
}

/** How long answers are awaited after a stop. */
const STOPPED_PATIENCE_MS = 2000;

class Generator {
  readonly #job: LoadJob;
  readonly #wires: Wire[];
  readonly #latencies = new Histogram();
  readonly #seconds = new Map<number, LoadSecond & { latencies: Histogram }>();
  readonly #free: Lane[] = [];
  /** Moments at which requests were due that wait for a connection; those before `#dueAt` are gone. */
  readonly #due: number[] = [];
  readonly #lanes: Lane[] = [];
  readonly #result = { requests: 0, events: 0, errors: 0, unanswered: 0 };
  readonly #statuses: Record<string, number> = {};
  readonly #ids: string[] = [];
  #dueAt = 0;
  #next = 0;
  #startedAtMs = 0;
  #isOver = false;
  /** Infinity: it is not stopped. */
  #stoppedAtMs = Number.POSITIVE_INFINITY;
  /** Requests that were due and are given up, because the load was stopped. */
  #givenUp = 0;
  #ticks: LoadTicks | undefined;

  constructor(job: LoadJob) {
    this.#job = job;
    this.#wires = wiresOf(job);
  }

  /** Offers nothing more. */
  stop(): void {
    this.#stoppedAtMs = performance.now();
    this.#givenUp += this.#due.length - this.#dueAt;
    this.#dueAt = this.#due.length;
  }

  async run(): Promise<LoadResult> {
    const { connections, phases, warmupSeconds } = this.#job;
    for (let i = 0; i < connections; i++) this.#lanes.push(await this.#open());
    const cpu = process.cpuUsage();
    this.#startedAtMs = performance.now();
    if (this.#job.ticks) this.#ticks = new LoadTicks(() => this.#waiting());
    const seconds = phases.reduce((sum, phase) => sum + phase.seconds, 0);
    if (!this.#isClosed()) {
      this.#free.push(...this.#lanes);
      await this.#offer();
    } else {
      for (const lane of this.#lanes) this.#send(lane, performance.now());
      await sleep((warmupSeconds + seconds) * 1000);
    }
    this.#isOver = true;
    await this.#settle();
    this.#ticks?.end();
    for (const { socket } of this.#lanes) socket.destroy();
    const { user, system } = process.cpuUsage(cpu);
    return {
      ...this.#result,
      seconds,
      statuses: this.#statuses,
      latencies: [...this.#latencies.counts],
      ids: this.#ids,
      perSecond: this.#perSecond(),
      cpuSeconds: (user + system) / 1e6,
    };
  }

  #open(): Promise<Lane> {
    return new Promise((resolve, reject) => {
      const socket = connect({ port: this.#job.port, host: "127.0.0.1", noDelay: true });
      const lane: Lane = { socket, sent: undefined, dueAtMs: 0, received: undefined };
      socket.once("connect", () => resolve(lane));
      socket.once("error", reject);
      socket.on("error", () => {});
      socket.on("data", (chunk) => this.#receive(lane, chunk));
      socket.on("close", () => this.#broken(lane));
    });
  }

  #send(lane: Lane, dueAtMs: number): void {
    const wire = this.#wires[this.#next++ % this.#wires.length];
    if (wire === undefined) return;
    lane.sent = wire;
    lane.dueAtMs = dueAtMs;
    lane.socket.write(wire.bytes);
  }

  #receive(lane: Lane, chunk: Buffer): void {
    const received = lane.received ? Buffer.concat([lane.received, chunk]) : chunk;
    const answered = parseAnswer(received);
    lane.received = answered ? undefined : received;
    if (!answered || !lane.sent) return;
    const { sent, dueAtMs } = lane;
    lane.sent = undefined;
    this.#note(dueAtMs, sent, answered);
    this.#goOn(lane);
  }

  #goOn(lane: Lane): void {
    if (this.#isClosed()) {
      if (!this.#isOver) this.#send(lane, performance.now());
      return;
    }
    const dueAtMs = this.#nextDue();
    if (dueAtMs === undefined) this.#free.push(lane);
    else this.#send(lane, dueAtMs);
  }

  /** The request that has waited longest; those that waited too long are errors. */
  #nextDue(): number | undefined {
    for (;;) {
      const dueAtMs = this.#due[this.#dueAt];
      if (dueAtMs !== undefined) this.#dueAt += 1;
      if (dueAtMs === undefined || performance.now() - dueAtMs < this.#job.timeoutMs) return dueAtMs;
      this.#note(dueAtMs, undefined, undefined);
    }
  }

  #note(dueAtMs: number, sent: Wire | undefined, answered: Answered | undefined): void {
    const latencyMs = performance.now() - dueAtMs;
    const status = answered?.status ?? 0;
    this.#statuses[status] = (this.#statuses[status] ?? 0) + 1;
    const isAccepted = status >= 200 && status < 300;
    if (isAccepted && answered?.body.startsWith("{")) this.#ids.push(...idsOf(answered.body));
    const sinceMs = this.#isClosed() ? performance.now() - this.#startedAtMs : dueAtMs - this.#startedAtMs;
    if (sinceMs < this.#job.warmupSeconds * 1000 || (this.#isOver && this.#isClosed())) return;
    const second = this.#secondOf(sinceMs);
    this.#ticks?.note(isAccepted, latencyMs);
    if (isAccepted) {
      this.#latencies.addMs(latencyMs);
      second.latencies.addMs(latencyMs);
      second.answered += 1;
      this.#result.requests += 1;
      this.#result.events += sent?.events ?? 0;
    } else {
      this.#result.errors += 1;
      second.errors += 1;
    }
  }

  #isClosed(): boolean {
    return this.#job.phases[0]?.perSecond === undefined;
  }

  #secondOf(sinceMs: number) {
    const at = Math.floor(sinceMs / 1000);
    const known = this.#seconds.get(at);
    if (known) return known;
    const made = { offered: 0, answered: 0, errors: 0, p50Ms: 0, p99Ms: 0, latencies: new Histogram() };
    this.#seconds.set(at, made);
    return made;
  }

  /** Makes requests due, millisecond by millisecond, at each phase's rate: exactly as many as that makes. */
  async #offer(): Promise<void> {
    let phaseAtMs = this.#startedAtMs;
    for (const { seconds, perSecond = 0 } of this.#job.phases) {
      const count = Math.round(seconds * perSecond);
      let made = 0;
      while (made < count && this.#stoppedAtMs === Number.POSITIVE_INFINITY) {
        const nowMs = performance.now();
        for (; made < count; made++) {
          const dueAtMs = phaseAtMs + (made * 1000) / perSecond;
          if (dueAtMs > nowMs) break;
          this.#makeDue(dueAtMs, nowMs - dueAtMs);
        }
        await sleep(1);
      }
      phaseAtMs += seconds * 1000;
    }
  }

  #makeDue(dueAtMs: number, lateMs: number): void {
    this.#secondOf(dueAtMs - this.#startedAtMs).offered += 1;
    this.#ticks?.offer(lateMs);
    const lane = this.#free.pop();
    if (lane) this.#send(lane, dueAtMs);
    else this.#due.push(dueAtMs);
  }

  /** Waits for what is on its way. */
  async #settle(): Promise<void> {
    const giveUpAtMs = performance.now() + this.#job.timeoutMs;
    const isOver = () => performance.now() >= Math.min(giveUpAtMs, this.#stoppedAtMs + STOPPED_PATIENCE_MS);
    while (this.#waiting() > 0 && !isOver()) await sleep(10);
    this.#result.unanswered = this.#waiting() + this.#givenUp;
  }

  #waiting(): number {
    return this.#due.length - this.#dueAt + this.#lanes.filter(({ sent }) => sent !== undefined).length;
  }

  #broken(lane: Lane): void {
    const { sent, dueAtMs } = lane;
    const at = this.#lanes.indexOf(lane);
    if (this.#isOver || at === -1) return;
    const idle = this.#free.indexOf(lane); // a server closes what it does not hear of for seconds
    if (idle !== -1) this.#free.splice(idle, 1);
    lane.sent = undefined;
    lane.received = undefined;
    if (sent) this.#note(dueAtMs, sent, undefined);
    void this.#open().then(
      (fresh) => {
        this.#lanes[at] = fresh;
        this.#goOn(fresh);
      },
      () => setTimeout(() => this.#broken(lane), 100),
    );
  }

  #perSecond(): LoadSecond[] {
    const last = Math.max(-1, ...this.#seconds.keys());
    return Array.from({ length: last + 1 }, (_, i) => {
      const { latencies, ...second } = this.#secondOf(i * 1000);
      return { ...second, p50Ms: latencies.percentileMs(0.5), p99Ms: latencies.percentileMs(0.99) };
    });
  }
}

process.once("message", async (job: LoadJob) => {
  const generator = new Generator(job);
  process.on("message", () => generator.stop());
  const result = await generator.run();
  process.send?.(result, () => process.exit(0));
});
process.once("disconnect", () => process.exit(1));
