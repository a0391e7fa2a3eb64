/**
 * The keys that an ingest instance knows: those of its environment, and its copy of those that were made by command.
 *
 * A key of the environment is found without a look at the copy. For any other key the copy may be 5 s old; then Redis is asked, beside
 * reading the request's body, and nothing is accepted before its answer. All ages are judged when a request comes, by a monotonic
 * clock, because between requests an instance has no CPU: after a pause of any length, its first request asks. If Redis is away, the
 * last copy counts for the keys that it has. Nobody is refused as unknown by a copy that could not be renewed, nor without one.
 *
 * Only digests are known here, so neither the configuration nor the time of a look-up reveals a key. Whether a key has expired is left
 * to whoever asks.
 */
import { hash } from "node:crypto";
import type { ApiKey } from "../config.ts";
import { deadlineIn, waitUntil } from "../flow/deadline.ts";
import { type Generation, isNewer, type KeySet } from "../key-set.ts";
import { describeError, type Log } from "../log.ts";
import { isWellFormed } from "./key-format.ts";
import type { KeySource } from "./key-source.ts";

/** A key that a request may use. */
export interface FoundKey {
  key: ApiKey;
  /** The SHA-256 of its text, in hex. */
  digest: string;
  /** When it expires, by the wall clock; Infinity: never. */
  expiresAtMs: number;
  /**
   * Undefined: the key may be used now. Else its request may be read and checked, but nothing may be accepted or answered before this
   * has found the key again. It never rejects.
   */
  confirmed: Promise<FoundKey | NoKey> | undefined;
}

/** Why there is no key: no server knows it, or no server can tell now. */
export type NoKey = "unknown" | "away";

interface Deps {
  environment: readonly ApiKey[];
  source: KeySource;
  /** A clock that is never set back. */
  monotonicMs: () => number;
  log: Log;
}

/** How old the copy may be for a key that it has, and for one that it lacks, in milliseconds. */
const FRESH_MS = 5000;
const FRESH_FOR_UNKNOWN_MS = 1000;
/** How long a request waits for a newer copy; after that the last one counts. In milliseconds. */
const REFRESH_WAIT_MS = 1000;
/** How long nobody tries again after neither server gave the keys, in milliseconds. */
const AWAY_MS = 1000;

/** One exchange with the servers, for all requests that wait for it. */
interface Flight {
  startedAtMs: number;
  /** Whether a server told the keys in time. Never rejects. */
  done: Promise<boolean>;
}

export class Keyring {
  readonly #deps: Deps;
  readonly #environment: ReadonlyMap<string, FoundKey>;
  readonly #names: ReadonlySet<string>;
  #copy: ReadonlyMap<string, FoundKey> | undefined;
  #generation: Generation = { version: -1, readAtMs: -1 };
  /** When the last exchange that has ended began: the age of the copy counts from there, whatever the answer was. */
  #askedAtMs = Number.NEGATIVE_INFINITY;
  /** Whether that exchange had an answer. */
  #isTold = false;
  #awayUntilMs = Number.NEGATIVE_INFINITY;
  #flight: Flight | undefined;
  #isAway = false;

  constructor(deps: Deps) {
    this.#deps = deps;
    this.#environment = byDigest(deps.environment);
    this.#names = new Set(deps.environment.map(({ name }) => name));
  }

  /** Finds a key by the text that a request presents. A promise only if the servers have to be asked first. */
  find(presented: string): FoundKey | NoKey | Promise<FoundKey | NoKey> {
    const digest = hash("sha256", presented, "hex");
    const own = this.#environment.get(digest);
    if (own !== undefined) return own;
    const ageMs = this.#deps.monotonicMs() - this.#askedAtMs;
    const known = this.#copy?.get(digest);
    if (known === undefined) return this.#findUnknown(presented, digest, ageMs);
    if (ageMs <= FRESH_MS) return known;
    const { key, expiresAtMs } = known;
    return { key, digest, expiresAtMs, confirmed: this.#findAfterAsking(digest) };
  }

  /** Finds a key again, after a while in which it may have been revoked. A promise only if the servers have to be asked first. */
  findAgain({ digest }: FoundKey): FoundKey | NoKey | Promise<FoundKey | NoKey> {
    const own = this.#environment.get(digest);
    if (own !== undefined) return own;
    const isFresh = this.#deps.monotonicMs() - this.#askedAtMs <= FRESH_MS;
    return isFresh ? (this.#copy?.get(digest) ?? "unknown") : this.#findAfterAsking(digest);
  }

  #findUnknown(presented: string, digest: string, ageMs: number): NoKey | Promise<FoundKey | NoKey> {
    if (!isWellFormed(presented)) return "unknown";
    const isFresh = this.#copy !== undefined && ageMs <= FRESH_FOR_UNKNOWN_MS;
    if (!isFresh) return this.#findAfterAsking(digest);
    return this.#isTold ? "unknown" : "away";
  }

  /** A key that the last copy lacks may have been made since, so without an answer nobody knows. */
  async #findAfterAsking(digest: string): Promise<FoundKey | NoKey> {
    const isTold = await this.#ask();
    return this.#copy?.get(digest) ?? (isTold ? "unknown" : "away");
  }

  /** Asks the servers, or joins whoever asks. An exchange that began long ago, before a pause of the process, may bring an old answer. */
  #ask(): Promise<boolean> {
    const nowMs = this.#deps.monotonicMs();
    if (this.#flight !== undefined && nowMs - this.#flight.startedAtMs <= FRESH_MS) return this.#flight.done;
    if (this.#copy === undefined && nowMs < this.#awayUntilMs) return Promise.resolve(false);
    const flight: Flight = { startedAtMs: nowMs, done: this.#fly(nowMs) };
    this.#flight = flight;
    void flight.done.then(() => {
      if (this.#flight === flight) this.#flight = undefined;
    });
    return flight.done;
  }

  /** One exchange. With a copy it is waited for no longer than the bound; a late answer is taken for the requests after this one. */
  async #fly(startedAtMs: number): Promise<boolean> {
    const exchange = this.#exchange();
    const answer = await (this.#copy === undefined
      ? exchange
      : waitUntil(deadlineIn(REFRESH_WAIT_MS), exchange));
    const isTold = answer === true;
    if (startedAtMs < this.#askedAtMs) return isTold;
    this.#askedAtMs = startedAtMs;
    this.#isTold = isTold;
    return isTold;
  }

  /** Whether a server told the keys. Never rejects: a fault of ours is logged, and the last copy counts. */
  async #exchange(): Promise<boolean> {
    const { source, log } = this.#deps;
    try {
      const answer = await (this.#copy ? source.refresh(this.#generation) : source.load());
      this.#noteAway(answer === "away");
      if (typeof answer === "object") this.#take(answer);
      return answer !== "away";
    } catch (error) {
      this.#noteAway(true);
      log.error("keys.failed", describeError(error));
      return false;
    }
  }

  /** Says once that the keys can't be read, and once that they can be again. */
  #noteAway(isAway: boolean): void {
    const { log, monotonicMs } = this.#deps;
    if (isAway) this.#awayUntilMs = monotonicMs() + AWAY_MS;
    if (isAway && !this.#isAway) log.warn("keys.away", { hasCopy: this.#copy !== undefined });
    if (!isAway && this.#isAway) log.info("keys.back");
    this.#isAway = isAway;
  }

  /** Takes a set that is newer than the copy. Of two keys with one name, that of the environment counts. */
  #take({ generation, keys }: KeySet): void {
    if (!isNewer(generation, this.#generation)) return;
    const others = keys.filter(({ name }) => !this.#names.has(name));
    this.#copy = byDigest(others);
    this.#generation = generation;
    this.#deps.log.info("keys.taken", { keys: others.length, version: generation.version });
  }
}

const byDigest = (keys: readonly ApiKey[]): ReadonlyMap<string, FoundKey> =>
  new Map(keys.map(foundOf).map((found) => [found.digest, found]));

const foundOf = (key: ApiKey): FoundKey => ({
  key,
  digest: key.sha256.toString("hex"),
  expiresAtMs: key.expiresAt === undefined ? Number.POSITIVE_INFINITY : Date.parse(key.expiresAt),
  confirmed: undefined,
});
