/**
 * How many events each API key may still send to this instance. A key with a rate of its own has that over all instances: each instance
 * holds a share, which Redis gives it (lib/buffer/limit-shares.ts). Keys without one have this instance's bucket (token-bucket.ts), and
 * cost Redis nothing.
 *
 * Nothing here waits for a timer. A request finds that the shares are five seconds old, and one call asks for all of them beside that
 * request, while the old shares last for another second. Only a request whose key has no share, or too little of one while Redis has
 * more, waits for a call. A share that is over lets nothing through. If Redis does not answer, the last share goes on as a rate.
 */
import type { AskForShares, GivenShare } from "../buffer/limit-shares.ts";
import type { ApiKey } from "../config.ts";
import { headerNames } from "../contract/header-names.ts";
import { describeError, type Log } from "../log.ts";
import { KeyShare } from "./key-share.ts";
import type { TokenBuckets } from "./token-bucket.ts";

interface Deps {
  askForShares: AskForShares;
  /** For keys without a rate of their own. */
  buckets: Pick<TokenBuckets, "take" | "waitSeconds">;
  /** A clock that is never set back. */
  monotonicMs: () => number;
  log: Log;
}

/** The age at which an instance asks for all its shares anew, in milliseconds. */
const RENEW_AFTER_MS = 5000;
/** The most keys in one call. */
const KEYS_MAX = 500;
/** How often one request may ask. While an instance is new to a key, it gets little with each call. */
const ASKS_MAX = 3;
/** The seconds of its rate that a key may send in one request. */
const REQUEST_MAX_SECONDS = 60;
/** The window of the policy that is told to clients, in seconds: tokens are kept for so long. */
const POLICY_SECONDS = 5;

type Limited = Pick<ApiKey, "name" | "eventsPerSecond">;

/**
 * Who may send how much. Answers at once, or with a promise if Redis has to be asked first.
 *
 * @example
 * const waiting = shares.take(key, events.length);
 * const waitSeconds = typeof waiting === "number" ? waiting : await waiting;
 * if (waitSeconds > 0) refuse(waitSeconds);
 */
export class RateShares {
  readonly #deps: Deps;
  readonly #shares = new Map<string, KeyShare>();
  /** Those for which a request waits, and which no call has asked for yet; who waits longest is first. */
  readonly #waitedFor = new Set<KeyShare>();
  /** When the last renewal was done, and when it began: one of many keys takes several calls. */
  #renewedAtMs = Number.NEGATIVE_INFINITY;
  #renewalBeganAtMs = Number.NEGATIVE_INFINITY;
  /** The call that is under way, and the one after it, for those who came too late for the first. */
  #call: Promise<void> | undefined;
  #nextCall: Promise<void> | undefined;
  #isAway = false;

  constructor(deps: Deps) {
    this.#deps = deps;
  }

  /** Returns the seconds until the key may send an event again; 0: now. Takes nothing. */
  waitSeconds(key: Limited): number | Promise<number> {
    if (key.eventsPerSecond === undefined) return this.#deps.buckets.waitSeconds(key.name);
    const share = this.#shareOf(key.name, key.eventsPerSecond);
    const nowMs = this.#deps.monotonicMs();
    this.#renewIfDue(share, nowMs);
    if (share.has(1, nowMs)) return 0;
    if (share.mayAsk(nowMs)) return this.#askForOne(share);
    share.wantUsual();
    return share.waitSeconds(1, nowMs);
  }

  /** Lets so many events of the key through and returns 0, or returns the seconds after which that may be tried again. */
  take(key: Limited, count: number): number | Promise<number> {
    if (key.eventsPerSecond === undefined) return this.#deps.buckets.take(key.name, count);
    const share = this.#shareOf(key.name, key.eventsPerSecond);
    const nowMs = this.#deps.monotonicMs();
    share.want(count);
    if (share.take(count, nowMs)) return 0;
    if (share.mayAsk(nowMs)) return this.#askUntil(share, count, (thenMs) => share.take(count, thenMs));
    return share.waitSeconds(count, nowMs);
  }

  /** The most events that the key may ever send in one request. */
  largestRequest({ eventsPerSecond }: Limited): number {
    return eventsPerSecond === undefined
      ? Number.POSITIVE_INFINITY
      : Math.max(1, Math.floor(REQUEST_MAX_SECONDS * eventsPerSecond));
  }

  /**
   * Says to a client what is left, as `RateLimit` and `RateLimit-Policy` of draft-ietf-httpapi-ratelimit-headers-10; undefined if the
   * key has no rate of its own. Only this instance's share is known here, so more may be left.
   */
  headersOf({ name, eventsPerSecond }: Limited, waitSeconds = 0): Record<string, string> | undefined {
    const share = eventsPerSecond === undefined ? undefined : this.#shares.get(name);
    if (share === undefined || eventsPerSecond === undefined) return undefined;
    const nowMs = this.#deps.monotonicMs();
    const left = waitSeconds > 0 ? 0 : share.tokensLeft(nowMs);
    const seconds = waitSeconds > 0 ? waitSeconds : share.renewedInSeconds(nowMs, RENEW_AFTER_MS);
    return {
      [headerNames.rateLimitPolicy]: `"key";q=${Math.max(1, Math.floor(POLICY_SECONDS * eventsPerSecond))};w=${POLICY_SECONDS}`,
      [headerNames.rateLimit]: `"key";r=${left};t=${seconds}`,
    };
  }

  #shareOf(name: string, perSecond: number): KeyShare {
    let share = this.#shares.get(name);
    if (share === undefined) {
      share = new KeyShare(name, perSecond);
      this.#shares.set(name, share);
    }
    share.followRate(perSecond);
    return share;
  }

  /** Asks beside this request for all shares, if they are old; or for this key's, if it is due early. */
  #renewIfDue(share: KeyShare, nowMs: number): void {
    if (!this.#isRenewalDue(nowMs) && !share.isDueEarly(nowMs)) return;
    if (this.#call === undefined && share.lasts(nowMs)) void this.#renew(share);
  }

  #isRenewalDue(nowMs: number): boolean {
    return nowMs >= this.#renewedAtMs + RENEW_AFTER_MS;
  }

  /** Asks call after call until it has asked for all. Never throws. */
  async #renew(found: KeyShare): Promise<void> {
    await this.#startCall(found);
    while (this.#call === undefined && this.#isRenewalDue(this.#deps.monotonicMs())) await this.#startCall();
  }

  async #askForOne(share: KeyShare): Promise<number> {
    const isEnough = (nowMs: number) => share.has(1, nowMs);
    const waitSeconds = await this.#askUntil(share, 1, isEnough, () => share.waitForUsual());
    if (waitSeconds > 0) share.wantUsual();
    return waitSeconds;
  }

  /** Asks for more of this share until it is enough or nothing more is to be had. Returns the seconds to wait; 0: it is enough. */
  async #askUntil(
    share: KeyShare,
    count: number,
    isEnough: (nowMs: number) => boolean,
    waitFor = () => share.waitFor(count),
  ): Promise<number> {
    for (let asks = 0; asks < ASKS_MAX && share.mayAsk(this.#deps.monotonicMs()); asks++) {
      await this.#askFor(share, waitFor);
      while (this.#waitedFor.has(share)) await this.#callToCome(); // the last one was full
      if (isEnough(this.#deps.monotonicMs())) return 0;
    }
    return share.waitSeconds(count, this.#deps.monotonicMs());
  }

  /** Waits for a call that asks for this share: the one under way, or one that is sent now or right after it. */
  #askFor(share: KeyShare, waitFor: () => void): Promise<void> {
    if (this.#call !== undefined && share.isAsked) return this.#call;
    waitFor();
    this.#waitedFor.add(share);
    return this.#callToCome();
  }

  /** Waits for a call that is not sent yet. */
  #callToCome(): Promise<void> {
    if (this.#call === undefined) return this.#startCall();
    this.#nextCall ??= this.#call.then(() => {
      this.#nextCall = undefined;
      return this.#startCall();
    });
    return this.#nextCall;
  }

  /** Sends a call for the shares that are waited for and those that are due, as `found` is. Never throws. */
  #startCall(found?: KeyShare): Promise<void> {
    const sentAtMs = this.#deps.monotonicMs();
    const shares = this.#sharesToAsk(sentAtMs, found);
    this.#call = this.#ask(shares, sentAtMs).finally(() => {
      this.#call = undefined;
    });
    return this.#call;
  }

  async #ask(shares: readonly KeyShare[], sentAtMs: number): Promise<void> {
    try {
      const given = await this.#deps.askForShares(shares.map((share) => share.ask(sentAtMs)));
      for (const [i, share] of shares.entries()) share.receive(given[i] as GivenShare, sentAtMs);
      this.#noteAway(false);
    } catch (error) {
      for (const share of shares) share.goOn(sentAtMs);
      this.#noteAway(true, error);
    }
  }

  /**
   * Those that are waited for, before all others; and every five seconds all that were used since, or in between those that are due
   * early. A renewal asks for each of them once, however often they are used meanwhile, so that it comes to its end.
   */
  #sharesToAsk(nowMs: number, found: KeyShare | undefined): KeyShare[] {
    const isRenewal = this.#isRenewalDue(nowMs);
    if (isRenewal && this.#renewalBeganAtMs <= this.#renewedAtMs) this.#renewalBeganAtMs = nowMs;
    const shares = new Set(found === undefined ? [] : [found]);
    for (const share of this.#waitedFor) if (shares.size < KEYS_MAX) shares.add(share);
    for (const share of this.#shares.values()) {
      const isDue = isRenewal ? share.isDueIn(this.#renewalBeganAtMs) : share.isDueEarly(nowMs);
      if (!isDue) continue;
      if (shares.size === KEYS_MAX && !shares.has(share)) return this.#takeOut(shares); // the next call asks for the others
      shares.add(share);
    }
    if (isRenewal) this.#renewedAtMs = nowMs;
    return this.#takeOut(shares);
  }

  #takeOut(shares: ReadonlySet<KeyShare>): KeyShare[] {
    for (const share of shares) this.#waitedFor.delete(share);
    return [...shares];
  }

  #noteAway(isAway: boolean, error?: unknown): void {
    if (this.#isAway === isAway) return;
    this.#isAway = isAway;
    if (isAway) this.#deps.log.warn("limits.unshared", describeError(error));
    else this.#deps.log.info("limits.shared");
  }
}
