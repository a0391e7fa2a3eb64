/** Prices that figures are turned into dollars with, as of November 2026: check the vendor's page. */

/** Upstash, pay as you go: dollars per command. */
const UPSTASH_PER_COMMAND = 0.2 / 100_000;

/** Dollars for a million events that cost so many commands each. */
export const redisDollarsPerMillion = (commandsPerEvent: number): number =>
  commandsPerEvent * UPSTASH_PER_COMMAND * 1_000_000;
