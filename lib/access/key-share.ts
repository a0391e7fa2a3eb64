/**
 * One key's share of its rate in this instance: a bucket of tokens, which Redis fills anew with each call (rate-shares.ts makes the
 * calls) and which gains by the rate of the share in between. One event costs one token. Once the share is over, its tokens are, too.
 * It counts what the next call reports: how many events were let through, and how many were wanted.
 */
import type { GivenShare, ShareAsk } from "../buffer/limit-shares.ts";

/** The tokens that a share gains at most, as seconds of its rate (lua/share-limits.lua has the same). */
const BURST_SECONDS = 5;
/** How long a share goes on if Redis does not answer, and when it is asked again, in milliseconds. */
const AWAY_MS = 6000;
const AWAY_ASK_AGAIN_MS = 5000;
/** For how long demand is counted at least before it is known, and after how long without a call it is forgotten. */
const DEMAND_KNOWN_MS = 1000;
const DEMAND_LASTS_MS = 10_000;
/** A fall of demand to this part of it is told early, if so many requests would have come by then. */
const FALL = 0.3;
const FALL_SEEN_BY_REQUESTS = 10;
/** The weight of the last five seconds in the demand. */
const DEMAND_WEIGHT = 0.7;
/** The least weight of one request in the usual size of a request; the first ones have more. */
const SIZE_WEIGHT = 0.1;

export class KeyShare {
  readonly #name: string;
  /** The key's rate over all instances, in events a second. */
  #keyPerSecond: number;
  #perSecond = 0;
  /** The share to go on with while Redis is away; undefined: it never gave one. */
  #fairPerSecond: number | undefined;
  #tokens = 0;
  #tokensMax = 0;
  /** The moment until which the tokens are counted. */
  #atMs = Number.NEGATIVE_INFINITY;
  #validUntilMs = Number.NEGATIVE_INFINITY;
  #askAgainAtMs = Number.NEGATIVE_INFINITY;
  #isAway = false;
  /** A call for it is under way. */
  #isAsked = false;
  #askedAtMs = Number.NEGATIVE_INFINITY;
  /** Events let through since the last call was sent, and those that it reported. */
  #used = 0;
  #reported = 0;
  /** Events wanted since the demand was learnt. */
  #wanted = 0;
  #wantedSinceMs = Number.NEGATIVE_INFINITY;
  #demandPerSecond: number | undefined;
  #requestSize = 1;
  #sizeWeight = 1;
  /** The events of the request for which the last call had too little, and the moment from which it may pass. */
  #short: { count: number; untilMs: number } = { count: 0, untilMs: 0 };
  /** Events that requests wait for: of the largest, and of all. */
  #largestWaiting = 0;
  #allWaiting = 0;

  constructor(name: string, keyPerSecond: number) {
    this.#name = name;
    this.#keyPerSecond = keyPerSecond;
  }

  /** Follows a change of the key's rate. If it was lowered, the share is lowered with it at once. */
  followRate(perSecond: number): void {
    if (perSecond === this.#keyPerSecond) return;
    const part = Math.min(1, perSecond / this.#keyPerSecond);
    this.#keyPerSecond = perSecond;
    this.#perSecond *= part;
    this.#tokensMax *= part;
    this.#tokens = Math.min(this.#tokens, this.#tokens * part);
    if (this.#fairPerSecond !== undefined) this.#fairPerSecond *= part;
  }

  get isAsked(): boolean {
    return this.#isAsked;
  }

  /** Whether a renewal that began then has to ask for it: somebody wanted events of it, and no call has asked since. */
  isDueIn(beganAtMs: number): boolean {
    return this.#wanted > 0 && this.#askedAtMs < beganAtMs;
  }

  lasts(nowMs: number): boolean {
    return nowMs < this.#validUntilMs;
  }

  /**
   * Whether it is asked for early: its demand was not known and is now, or has fallen so much that others may wait for what it
   * leaves.
   */
  isDueEarly(nowMs: number): boolean {
    const ms = nowMs - this.#askedAtMs;
    if (ms < DEMAND_KNOWN_MS || this.#wanted === 0) return false;
    if (this.#demandPerSecond === undefined) return true;
    const expected = (this.#demandPerSecond * ms) / 1000;
    return expected >= FALL_SEEN_BY_REQUESTS * this.#requestSize && this.#wanted < FALL * expected;
  }

  /** Whether it is worth asking for more than it has. */
  mayAsk(nowMs: number): boolean {
    return nowMs >= Math.min(this.#askAgainAtMs, this.#validUntilMs);
  }

  has(count: number, nowMs: number): boolean {
    this.#fill(nowMs);
    return this.#tokens >= count;
  }

  /** The whole tokens that it has. */
  tokensLeft(nowMs: number): number {
    this.#fill(nowMs);
    return Math.max(0, Math.floor(this.#tokens));
  }

  /** Takes so many tokens, or none and returns false. While Redis is away, a full bucket is enough for any request, and is in debt then. */
  take(count: number, nowMs: number): boolean {
    this.#fill(nowMs);
    if (this.#tokens < (this.#isAway ? Math.min(count, this.#tokensMax) : count)) return false;
    this.#tokens -= count;
    this.#used += count;
    return true;
  }

  /** Counts the events that a request wants. */
  want(count: number): void {
    this.#wanted += count;
    this.#requestSize += this.#sizeWeight * (count - this.#requestSize);
    this.#sizeWeight = Math.max(SIZE_WEIGHT, this.#sizeWeight / (1 + this.#sizeWeight));
  }

  /** Counts a request of which nobody knows how many events it has: it is refused before it is read. */
  wantUsual(): void {
    this.#wanted += this.#requestSize;
  }

  /** Notes that a request waits for the next call, with so many events. */
  waitFor(count: number): void {
    this.#largestWaiting = Math.max(this.#largestWaiting, count);
    this.#allWaiting += count;
  }

  /** The same for a request of which nobody knows yet how many events it has: it waits for one, and more are of use. */
  waitForUsual(): void {
    this.#largestWaiting = Math.max(this.#largestWaiting, 1);
    this.#allWaiting += Math.ceil(this.#requestSize);
  }

  /** In how many whole seconds it is worth trying again, from 1 to 60. */
  waitSeconds(count: number, nowMs: number): number {
    const missing = Math.min(count, Math.max(1, this.#tokensMax)) - this.#tokens;
    const byRate = this.#perSecond > 0 ? missing / this.#perSecond : Number.POSITIVE_INFINITY;
    const byAsking = (this.#askAgainAtMs - nowMs) / 1000;
    const byRedis = count >= this.#short.count ? (this.#short.untilMs - nowMs) / 1000 : 0;
    return Math.max(1, Math.ceil(Math.min(Math.max(Math.min(byRate, byAsking), byRedis), 60)));
  }

  /** In how many whole seconds its tokens are counted anew. */
  renewedInSeconds(nowMs: number, renewAfterMs: number): number {
    return Math.max(1, Math.ceil((this.#askedAtMs + renewAfterMs - nowMs) / 1000));
  }

  /** Makes what a call reports and asks for. Call `receive` or `goOn` with its outcome. */
  ask(nowMs: number): ShareAsk {
    this.#fill(nowMs);
    this.#learnDemand(nowMs);
    const ask: ShareAsk = {
      keyName: this.#name,
      perSecond: this.#keyPerSecond,
      used: this.#used,
      demandPerSecond: this.#demandPerSecond,
      tokens: this.#tokens,
      wanted: this.#largestWaiting,
      waiting: this.#allWaiting,
      requestSize: this.#requestSize,
    };
    this.#reported = this.#used;
    this.#used = 0;
    this.#short = { count: this.#largestWaiting, untilMs: nowMs };
    this.#largestWaiting = 0;
    this.#allWaiting = 0;
    this.#isAsked = true;
    this.#askedAtMs = nowMs;
    return ask;
  }

  /** Takes the share that Redis has given. What was let through while the call was under way is taken off it. */
  receive(given: GivenShare, sentAtMs: number): void {
    this.#isAsked = false;
    this.#isAway = false;
    this.#perSecond = given.perSecond;
    this.#fairPerSecond = given.fairPerSecond;
    this.#tokens = given.tokens - this.#used;
    this.#tokensMax = Math.max(given.tokens, BURST_SECONDS * given.perSecond);
    this.#atMs = sentAtMs;
    this.#validUntilMs = sentAtMs + given.validMs;
    this.#askAgainAtMs = sentAtMs + given.askAgainMs;
    this.#short.untilMs = sentAtMs + given.waitMs;
  }

  /** Goes on without Redis: with the last share, as a rate; or, if it never had one, with the key's whole rate. */
  goOn(sentAtMs: number): void {
    this.#isAsked = false;
    this.#isAway = true;
    this.#used += this.#reported;
    this.#perSecond = this.#fairPerSecond ?? this.#keyPerSecond;
    this.#tokensMax = Math.max(1, BURST_SECONDS * this.#perSecond);
    this.#validUntilMs = sentAtMs + AWAY_MS;
    this.#askAgainAtMs = sentAtMs + AWAY_ASK_AGAIN_MS;
    this.#fill(sentAtMs);
  }

  /** Learns the demand from what was wanted since the last time. It follows a fall at once: others may wait for what it leaves. */
  #learnDemand(nowMs: number): void {
    const isOld = nowMs - this.#askedAtMs > DEMAND_LASTS_MS;
    const ms = nowMs - this.#wantedSinceMs;
    if (isOld) this.#demandPerSecond = undefined;
    else if (ms < DEMAND_KNOWN_MS) return;
    else this.#demandPerSecond = this.#smooth((this.#wanted / ms) * 1000, ms);
    this.#wanted = isOld ? this.#allWaiting : 0; // the first request is part of what its share is for
    this.#wantedSinceMs = nowMs;
  }

  #smooth(perSecond: number, ms: number): number {
    const before = this.#demandPerSecond;
    if (before === undefined || perSecond < before / 2) return perSecond;
    return before + DEMAND_WEIGHT * Math.min(1, ms / 5000) * (perSecond - before);
  }

  /** Counts the tokens until now. A share that is over has none; a debt stays. */
  #fill(nowMs: number): void {
    if (nowMs >= this.#validUntilMs) {
      this.#perSecond = 0;
      this.#tokens = Math.min(0, this.#tokens);
      return;
    }
    if (this.#perSecond === 0 || nowMs <= this.#atMs) return;
    const gained = ((nowMs - this.#atMs) / 1000) * this.#perSecond;
    this.#tokens = Math.max(this.#tokens, Math.min(this.#tokensMax, this.#tokens + gained));
    this.#atMs = nowMs;
  }
}
