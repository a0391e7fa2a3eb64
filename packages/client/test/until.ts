/** Waits without guessing how long something takes. */
import { setTimeout as sleep, setImmediate as turnOfLoop } from "node:timers/promises";

/** Resolves when it is so; throws after 60 s. */
export async function until(isSo: () => boolean | Promise<boolean>, expected: string): Promise<void> {
  for (let tries = 0; tries < 6000; tries++) {
    if (await isSo()) return;
    await sleep(10);
  }
  throw new Error(`expected ${expected}`);
}

/** Lets the event loop turn, so that everything that is due has happened. */
export async function turnsOf(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await turnOfLoop();
}
