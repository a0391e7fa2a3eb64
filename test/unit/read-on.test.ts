/** Reading on after an early answer, up to a time. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, expect, test, vi } from "vitest";
import { Problem, sendProblem } from "../../functions/answer.ts";
import { openRawClient } from "../raw-client.ts";

afterEach(() => void vi.useRealTimers());

test("a client that neither sends its body on nor leaves is left after ten seconds, and not before", async () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] }); // Node's own timers go on
  const server = createServer((_, res) => sendProblem(res, new Problem("unknown-path", "no")));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const client = openRawClient((server.address() as AddressInfo).port);
  let isClosed = false;
  const answers = client.answers().then((all) => {
    isClosed = true;
    return all;
  });
  client.send("POST / HTTP/1.1\r\nhost: spillway\r\ncontent-length: 9\r\n\r\nx");
  while (vi.getTimerCount() === 0) await new Promise((resolve) => setImmediate(resolve));
  await vi.advanceTimersByTimeAsync(9999);
  expect(isClosed).toBe(false);
  await vi.advanceTimersByTimeAsync(1);
  expect((await answers).map(({ status }) => status)).toEqual([404]);
  server.close();
});
