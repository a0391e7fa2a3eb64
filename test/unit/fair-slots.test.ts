/** Slots: round robin, and given back. */
import { expect, test } from "vitest";
import { FairSlots } from "../../lib/flow/fair-slots.ts";

test("slots are handed out round robin, so a busy queue starves none", async () => {
  const slots = new FairSlots(1);
  const order: string[] = [];
  let open = () => {};
  const gate = new Promise<void>((resolve) => {
    open = resolve;
  });
  const run = (queue: string) =>
    slots.run(queue, async () => {
      order.push(queue);
      await gate;
    });
  const all = ["busy", "busy", "busy", "busy", "quiet"].map(run);
  open();
  await Promise.all(all);
  expect(order).toEqual(["busy", "busy", "quiet", "busy", "busy"]);
});

test("a slot comes back when the work fails", async () => {
  const slots = new FairSlots(1);
  await expect(slots.run("a", () => Promise.reject(new Error("no")))).rejects.toThrow("no");
  expect(await slots.run("a", async () => 1)).toBe(1);
});
