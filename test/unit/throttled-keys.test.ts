/** What the log says of keys that are throttled. */
import { expect, test } from "vitest";
import { ThrottledKeys } from "../../lib/access/throttled-keys.ts";

test("a throttled key is said at once, then once a minute with all requests since, and other keys are not mixed in", () => {
  const said: unknown[] = [];
  let nowMs = 5;
  const quiet = () => {};
  const log = {
    debug: quiet,
    info: quiet,
    error: quiet,
    warn: (event: string, fields?: object) => said.push([event, fields]),
  };
  const throttled = new ThrottledKeys({ monotonicMs: () => nowMs, log });

  throttled.note("phone");
  throttled.note("phone");
  nowMs += 59_999;
  throttled.note("phone");
  throttled.note("app");
  expect(said).toEqual([
    ["key.throttled", { key: "phone", requests: 1 }],
    ["key.throttled", { key: "app", requests: 1 }],
  ]);

  nowMs += 1;
  throttled.note("phone");
  throttled.note("phone");
  expect(said.slice(2)).toEqual([["key.throttled", { key: "phone", requests: 3 }]]);
});
