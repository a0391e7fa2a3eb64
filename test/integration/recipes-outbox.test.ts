/** docs/recipes.md, "An outbox that posts to Spillway": its blocks of code, run as they stand there against real servers. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { workerServers } from "../worker-servers.ts";
import { serveAtTheDoor } from "./one-at-the-door.ts";
import { block } from "./recipe-page.ts";
import { openRecipes, ordersOf, type RecipeWorld } from "./recipe-world.ts";
import { expectConserved, KEY } from "./test-stack.ts";

let world: RecipeWorld;
beforeAll(async () => {
  world = await openRecipes();
});
beforeEach(() => world.reset());
afterEach(() => world.clean());
afterAll(() => world.close());

describe("an outbox that posts to Spillway", () => {
  beforeEach(async () => {
    await world.sql.query(`create table shop_orders (shop text, cents integer); ${block("outbox.sql")}`);
  });

  /** Places an order as the application does. */
  async function place(shop: string, cents: number, end: "commit" | "rollback" = "commit"): Promise<void> {
    const client = await world.sql.connect();
    await client.query("begin");
    await client.query(block("place-order.sql"), [shop, cents]);
    await client.query(end);
    client.release();
  }

  /** What stands between the relay and ingest passes everything on, and tells what ingest answered. */
  const passing = (then: (status: number) => Promise<boolean> | boolean) =>
    serveAtTheDoor(async (req, body, res) => {
      const { authorization = "", "content-type": type = "" } = req.headers;
      const headers = { authorization, "content-type": type };
      const answer = await fetch(`${world.ingest.url}${req.url}`, { method: "POST", headers, body });
      const text = await answer.text();
      if (await then(answer.status)) res.writeHead(answer.status).end(text);
    });

  const env = (url: string) => ({
    DATABASE_URL: workerServers().databaseUrl,
    SPILLWAY_URL: url,
    SPILLWAY_KEY: KEY,
  });

  test("what was committed is stored once, though the relay died after the 202; what was rolled back is nowhere", async () => {
    for (const [i, { shop, cents }] of ordersOf(300).entries())
      await place(shop, cents, i % 10 === 0 ? "rollback" : "commit");
    const ids = await world.idsIn("outbox");
    expect(ids).toHaveLength(270);
    const heard: number[] = [];
    const holding = await passing((status) => heard.push(status) < 0); // never
    const first = world.folder.start("relay.ts", env(holding.url));
    await expect.poll(() => heard, { timeout: 30_000 }).toEqual([202]);
    await world.folder.kill(first);
    await holding.close();
    expect(await world.idsIn("outbox")).toEqual(ids);
    const open = await passing(() => true);
    for (let i = 0; i < 2; i++) world.folder.start("relay.ts", env(open.url));
    await world.untilEmpty("outbox");
    await open.close();
    expect(await world.drained()).toMatchObject({ stored: 270, duplicates: 200, dead: 0 });
    expect((await world.queried("select count(*)::int as n from shop_orders"))[0]).toEqual({ n: 270 });
    await expectConserved(world, "orders", ids);
  });

  test("a 503 keeps the rows; an order that does not fit is told of, is in nobody's way, and goes out once it is mended", async () => {
    for (const { shop, cents } of ordersOf(20)) await place(shop, cents);
    await place("north", -1);
    const ids = await world.idsIn("outbox");
    let refusals = 0;
    const door = await serveAtTheDoor(async (req, body, res) => {
      if (refusals++ < 2) return void res.writeHead(503, { "retry-after": "1" }).end('{"code":"busy"}');
      const { authorization = "", "content-type": type = "" } = req.headers;
      const headers = { authorization, "content-type": type };
      const answer = await fetch(`${world.ingest.url}${req.url}`, { method: "POST", headers, body });
      res.writeHead(answer.status).end(await answer.text());
    });
    world.folder.start("relay.ts", env(door.url));
    await world.untilEmpty("outbox where errors is null");
    expect(
      await world.queried("select event ->> 'cents' as cents, errors -> 0 ->> 'path' as path from outbox"),
    ).toEqual([{ cents: "-1", path: "cents" }]);
    await world.sql.query('update outbox set errors = null, event = \'{"shop":"north","cents":-2}\'');
    await world.untilEmpty("outbox where errors is null"); // alone, it is a 422
    await world.sql.query('update outbox set errors = null, event = \'{"shop":"north","cents":1}\'');
    await world.untilEmpty("outbox");
    await door.close();
    expect(await world.drained()).toMatchObject({ stored: 21, dead: 0 });
    await expectConserved(world, "orders", ids);
  });
});
