/** The doctor's check of the clocks: those of Postgres, of Redis and of this process. */
import type { AskedClock } from "../asked-clock.ts";
import type { Finding } from "../contract/doctor.ts";
import { describeMs } from "../contract/length-of-time.ts";
import { right, wrong } from "./finding.ts";

/** How far clocks may be apart, in milliseconds: a held letter's pause, a key's expiry and ages are told by several of them. */
const CLOCKS_MAX_MS = 2000;

interface Apart extends AskedClock {
  of: string;
}

/** Compares those that answer with this process, and with one another. */
export async function clocksOf(
  server: Promise<AskedClock>,
  redisClock: Promise<AskedClock>,
): Promise<Finding> {
  const asked = await Promise.allSettled([server, redisClock]);
  const clocks = asked.flatMap((one, i): Apart[] =>
    one.status === "fulfilled" ? [{ ...one.value, of: i === 0 ? "Postgres" : "Redis" }] : [],
  );
  if (clocks.length === 0) throw (asked[0] as PromiseRejectedResult).reason;
  const seen = clocks.map(describeClock).join("; ");
  const all = [...clocks, { of: "this process", aheadMs: 0, errorMs: 0 }];
  const isFar = all.some((a) =>
    all.some((b) => a.aheadMs - b.aheadMs - a.errorMs - b.errorMs > CLOCKS_MAX_MS),
  );
  if (!isFar) return right(seen, "the clocks agree");
  return wrong(
    seen,
    "ages, expiries of keys and pauses of held letters are told wrong by so much",
    "set the clock of the machine that differs (NTP)",
  );
}

const describeClock = ({ of, aheadMs, errorMs }: Apart): string =>
  `${of} is ${describeMs(Math.abs(aheadMs))} ${aheadMs < 0 ? "behind" : "ahead of"} this process (± ${describeMs(errorMs)})`;
