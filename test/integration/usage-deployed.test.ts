/** The functions as they are deployed: built, in processes of their own. What they count and refuse is told by the supervisor. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { openWholeStack, type WholeStack } from "./whole-stack.ts";

let whole: WholeStack;
beforeAll(async () => {
  whole = await openWholeStack(3_600_000);
}, 120_000);
afterAll(() => whole.close());

test("the use of ingest and its refusals come to the supervisor, and no path of ingest leads to them", async () => {
  const { stack, servers, drainAll } = whole;
  const post = (stream: string, event: unknown) =>
    fetch(`${stack.ingestUrl}/v1/${stream}`, {
      method: "POST",
      headers: { authorization: `Bearer ${stack.apiKey}`, "content-type": "application/json" },
      body: JSON.stringify(event),
    });
  const ask = async (path: string) => (await fetch(`${stack.supervisorUrl}${path}`)).json();
  const accepted = await post("events", [
    { type: "t", payload: 1 },
    { type: "t", payload: 2 },
  ]);
  const { ids } = (await accepted.json()) as { ids: string[] };
  expect([accepted.status, ids.length]).toEqual([202, 2]);
  expect((await post("events", { type: "t", payload: 1, jane: 1 })).status).toBe(422);
  expect((await post("spillway_usage", {})).status).toBe(404);
  await drainAll();
  expect(await ask("/usage")).toMatchObject({ hours: [{ stream: "events", accepted: 2 }], isCut: false });
  expect(await ask("/refusals?stream=events")).toMatchObject({
    refusals: [{ code: "invalid-event", path: "*", message: "is not a field of this stream" }],
  });
  const { rows } = await servers.sql.query("select id from events");
  expect(rows.map(({ id }: { id: string }) => id).sort()).toEqual(ids.sort());
});
