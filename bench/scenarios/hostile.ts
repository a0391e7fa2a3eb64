/**
 * Ingest under the worst bodies, in 512 MB as on Cloud Run: what a good sender beside them waits for, how long the event loop
 * stalls, and how much memory it takes. And what 8 MB of NDJSON cost.
 */
import { readFileSync, rmSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { gpsPoint } from "../../dev/load/payloads.ts";
import { type Bench, report } from "../bench-context.ts";
import { checkConservation, reset } from "../conservation.ts";
import { acceptedBodies, type Body, ndjson, refusedBodies } from "../hostile-bodies.ts";
import { limitMemory } from "../memory-limit.ts";
import { peakMemoryOf, resetPeakMemory } from "../proc.ts";
import type { Stack } from "../stack.ts";

const MEMORY_BYTES = 536_870_912;
const GOOD_EVERY_MS = 20;
const METER = new URL("../targets/stall-meter.mjs", import.meta.url).href;

type Ingest = Awaited<ReturnType<Stack["startIngest"]>>;

export async function hostile(bench: Bench): Promise<void> {
  const [refused, accepted] = [refusedBodies, acceptedBodies];
  await beside(bench, "good posts alone", { bodies: [], count: 0, atOnce: 0 });
  await beside(bench, "beside 200 that are refused, 80 at once", { bodies: refused, count: 200, atOnce: 80 });
  await beside(bench, "beside 200 that are refused, 4 at once", { bodies: refused, count: 200, atOnce: 4 });
  await beside(bench, "beside 100 good ones of 8 MB, 80 at once", {
    bodies: accepted,
    count: 100,
    atOnce: 80,
  });
  await beside(bench, "beside 100 good ones, one by one", { bodies: accepted, count: 100, atOnce: 1 });
  await beside(bench, "beside 100 good ones, ack=stored", {
    ...{ bodies: accepted, count: 100, atOnce: 1 },
    query: "?ack=stored",
  });
  await oneOf(bench, "one body of 8 MB of NDJSON", {
    type: "application/x-ndjson",
    bytes: bytesOf(ndjson()),
    isGzip: false,
  });
}

const bytesOf = (text: string) => new Uint8Array(Buffer.from(text));

async function withIngest(
  bench: Bench,
  run: (ingest: Ingest, stall: () => Promise<number>) => Promise<void>,
): Promise<void> {
  const { stack } = bench;
  const stallFile = stack.logFile("stall");
  await reset(stack);
  // Node takes its heap's size from the group in which it starts; here it is moved there later.
  const ingest = await stack.startIngest({
    STALL_FILE: stallFile,
    ...{ PARTITIONS: "16", BUFFER_MAX_BYTES: "90000000" }, // room for all that is accepted
    NODE_OPTIONS: `--import ${METER} --max-old-space-size=259`,
  });
  const removeLimit = limitMemory(ingest.pid, MEMORY_BYTES);
  if (!removeLimit) console.error("  no cgroup can be made here: memory is measured, and not limited");
  try {
    await run(ingest, () => stallOf(ingest, stallFile));
  } finally {
    await ingest.stop();
    removeLimit?.();
  }
}

/** The longest stall since the last call, in milliseconds. */
async function stallOf({ pid }: Ingest, file: string): Promise<number> {
  rmSync(file, { force: true });
  process.kill(pid, "SIGUSR2");
  for (let tries = 0; tries < 1000; tries++) {
    await sleep(10);
    try {
      return Number(readFileSync(file, "utf8"));
    } catch {
      // It has not come to it.
    }
  }
  throw new Error("expected ingest to answer a signal within 10 s");
}

/** What is sent beside good posts. */
interface Load {
  bodies: readonly Body[];
  count: number;
  /** Requests under way at once. */
  atOnce: number;
  query?: string;
}

async function beside(bench: Bench, name: string, load: Load): Promise<void> {
  await withIngest(bench, async (ingest, stall) => {
    const sender = new GoodSender(bench.stack, ingest.port);
    await sender.sendFor(1000); // warm
    await stall();
    resetPeakMemory(ingest.pid);
    sender.forget();
    const ending = sender.sendUntilStopped();
    if (load.atOnce === 0) await sleep(bench.settings.seconds * 1000);
    const { ids, statuses } = await sendBad(bench.stack, ingest.port, load);
    await sender.stop(ending);
    const count = (is: (status: number) => boolean) => statuses.filter(is).length;
    const figures = {
      ...{ p50Ms: sender.quantile(0.5), p99Ms: sender.quantile(0.99), errors: sender.errors },
      ...{
        answered2xx: count((status) => status < 300),
        answered4xx: count((status) => status >= 400 && status < 500),
      },
      ...{ answered5xx: count((status) => status >= 500) },
      ...{ stallMs: await stall(), peakMemoryMb: peakMemoryOf(ingest.pid) / 1e6 },
    };
    report(bench, "hostile", name, figures, await checkConservation(bench.stack, [...ids, ...sender.ids]));
  });
}

async function oneOf(bench: Bench, name: string, body: Body): Promise<void> {
  await withIngest(bench, async (ingest, stall) => {
    await new GoodSender(bench.stack, ingest.port).sendFor(1000); // warm
    await sleep(500);
    await reset(bench.stack);
    await stall();
    resetPeakMemory(ingest.pid);
    const before = peakMemoryOf(ingest.pid);
    const { ids } = await postBody(bench.stack, ingest.port, body);
    const extraMemoryMb = (peakMemoryOf(ingest.pid) - before) / 1e6;
    report(
      bench,
      "hostile",
      name,
      { extraMemoryMb, stallMs: await stall() },
      await checkConservation(bench.stack, ids),
    );
  });
}

interface Answered {
  ids: string[];
  statuses: number[];
}

/** Sends each of the bodies in turn, until all requests are answered. */
async function sendBad(
  stack: Stack,
  port: number,
  { bodies, count, atOnce, query = "" }: Load,
): Promise<Answered> {
  const answered: Answered = { ids: [], statuses: [] };
  let sent = 0;
  const sendNext = async () => {
    while (sent < count) {
      const { ids, status } = await postBody(stack, port, bodies[sent++ % bodies.length] as Body, query);
      for (const id of ids) answered.ids.push(id);
      answered.statuses.push(status);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, sendNext));
  return answered;
}

/** Posts a body. Throws if there is no answer. */
async function postBody(
  { apiKey }: Stack,
  port: number,
  { type, bytes, isGzip }: Body,
  query = "",
): Promise<{ ids: string[]; status: number }> {
  const encoding = isGzip ? { "content-encoding": "gzip" } : {};
  const headers = { authorization: `Bearer ${apiKey}`, "content-type": type, ...encoding };
  const url = `http://127.0.0.1:${port}/v1/events${query}`;
  const response = await fetch(url, { method: "POST", body: bytes, headers });
  const { ids = [] } = (await response.json()) as { ids?: string[] };
  return { ids: response.ok ? ids : [], status: response.status };
}

/** Sends one GPS point after another, a fixed time apart, and notes how long each answer takes. */
class GoodSender {
  readonly #stack: Stack;
  readonly #port: number;
  #isStopped = false;
  #answers: number[] = [];
  readonly ids: string[] = [];
  errors = 0;

  constructor(stack: Stack, port: number) {
    this.#stack = stack;
    this.#port = port;
  }

  async sendFor(ms: number): Promise<void> {
    for (const untilMs = performance.now() + ms; performance.now() < untilMs; ) await this.#send();
  }

  /** Sends until `stop`, at a fixed pace, whatever the answers take. */
  async sendUntilStopped(): Promise<void> {
    const sending: Promise<void>[] = [];
    while (!this.#isStopped) {
      sending.push(this.#send());
      await sleep(GOOD_EVERY_MS);
    }
    await Promise.all(sending);
  }

  async stop(ending: Promise<void>): Promise<void> {
    this.#isStopped = true;
    await ending;
  }

  forget(): void {
    this.#answers = [];
    this.errors = 0;
  }

  quantile(part: number): number {
    const sorted = this.#answers.toSorted((a, b) => a - b);
    return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? Number.NaN;
  }

  async #send(): Promise<void> {
    const startedAtMs = performance.now();
    try {
      const response = await fetch(`http://127.0.0.1:${this.#port}/v1/locations`, {
        method: "POST",
        body: JSON.stringify(gpsPoint(this.ids.length)),
        headers: { authorization: `Bearer ${this.#stack.apiKey}`, "content-type": "application/json" },
      });
      const answer = (await response.json()) as { ids?: string[] };
      if (response.status === 202) this.ids.push(...(answer.ids ?? []));
      else this.errors += 1;
      this.#answers.push(performance.now() - startedAtMs);
    } catch {
      this.errors += 1;
    }
  }
}
