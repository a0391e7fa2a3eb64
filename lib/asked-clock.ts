/** The clock of a server that was asked what time it is. */
export interface AskedClock {
  /** How far it is ahead of ours, in milliseconds. */
  aheadMs: number;
  /** By how much that may be wrong: half the round trip. */
  errorMs: number;
}

/** Compares what a server said with our clock when it was asked, in milliseconds: it looked half a round trip later. */
export const compareClock = (saidMs: number, askedAtMs: number, tookMs: number): AskedClock => ({
  aheadMs: saidMs - (askedAtMs + tookMs / 2),
  errorMs: tookMs / 2,
});
