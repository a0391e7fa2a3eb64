/** Ports for an `npm start` of a test. */
import { requireFreePort } from "../dev/stack/ports.ts";

/**
 * The first of seven free ports that no other test file takes meanwhile: `npm start` binds them seconds later, and whatever
 * runs beside this file takes its ports from 15,000 up (`findFreePorts`), or another one of every 20 below.
 */
export async function freeBase(): Promise<number> {
  const lane = Number(process.env.VITEST_POOL_ID) % 2;
  for (let tries = 0; tries < 100; tries++) {
    const base = 10_000 + 20 * Math.floor(Math.random() * 245) + 10 * lane;
    const ports = [0, 1, 2, 3, 4, 5, 6].map((i) => requireFreePort(base + i, "a test"));
    if ((await Promise.allSettled(ports)).every(({ status }) => status === "fulfilled")) return base;
  }
  throw new Error("expected seven free ports in a row between 10000 and 14900");
}
