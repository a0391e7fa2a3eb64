/** docs/recipes.md: its blocks of code, run as they stand there against real servers, and what its tables say happens. Its outbox is in recipes-outbox.test.ts. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { workerServers } from "../worker-servers.ts";
import { type Answer, serveAtTheDoor } from "./one-at-the-door.ts";
import { block, blockCount, blocks } from "./recipe-page.ts";
import { openRecipes, ordersOf, type RecipeWorld } from "./recipe-world.ts";
import { envelopeOf, expectConserved, pushEvents } from "./test-stack.ts";

let world: RecipeWorld;
beforeAll(async () => {
  world = await openRecipes();
});
beforeEach(() => world.reset());
afterEach(() => world.clean());
afterAll(() => world.close());

test("each block of the page has a name, and runs in a test", () => {
  expect(blocks.size).toBe(blockCount);
  expect([...blocks.keys()].sort()).toEqual(
    [
      "order-jobs.sql",
      "orders-by-shop.sql",
      "orders.ts",
      "outbox.sql",
      "place-order.sql",
      "refresh.sql",
    ].concat(["relay.ts", "shop-totals.sql", "worker.ts"]),
  );
});

describe("side effects from a stored event", () => {
  beforeEach(() => world.sql.query(block("order-jobs.sql")));

  test("each stored order is one job, and is done though a worker died in the middle; a second copy is none", async () => {
    const orders = ordersOf(250);
    const ids = await world.posted(orders);
    const withIds = orders.map((order, i) => ({ ...order, id: ids[i] }));
    await world.posted(withIds.slice(0, 100));
    expect(await world.drained()).toMatchObject({ stored: 250, duplicates: 100 });
    expect(await world.idsIn("order_jobs")).toEqual([...ids].sort());

    const mails: string[] = [];
    let answer: Answer = () => {};
    const mailer = await serveAtTheDoor((req, body, res) => {
      mails.push(`${req.headers["idempotency-key"]}`);
      return answer(req, body, res);
    });
    const env = { DATABASE_URL: workerServers().databaseUrl, MAILER_URL: mailer.url };
    const first = world.folder.start("worker.ts", env);
    await expect.poll(() => mails.length, { timeout: 30_000 }).toBe(1);
    await world.folder.kill(first); // the mail is out, its job is not deleted
    const [twice] = mails;
    const failing = mails.concat();
    answer = ({ headers }, _, res) => {
      const isFirstTry = mails.filter((key) => key === headers["idempotency-key"]).length === 1;
      if (isFirstTry && failing.length < 3) failing.push(`${headers["idempotency-key"]}`);
      res.writeHead(isFirstTry && failing.includes(`${headers["idempotency-key"]}`) ? 500 : 204).end();
    };
    for (let i = 0; i < 2; i++) world.folder.start("worker.ts", env);
    await world.untilEmpty("order_jobs");
    await mailer.close();
    expect([...new Set(mails)].sort()).toEqual([...ids].sort());
    expect(mails).toHaveLength(253); // one of the worker that died, two that the mailer refused once
    expect(mails.filter((key) => key === twice)).toHaveLength(2);

    await world.posted(withIds);
    expect(await world.drained()).toMatchObject({ stored: 0, duplicates: 250 });
    expect(await world.idsIn("order_jobs")).toEqual([]);
    await expectConserved(world, "orders", ids);
  });

  test("a trigger that fails for every order is nobody's fault: the orders wait, and get their jobs once it is mended", async () => {
    await world.sql.query("alter table order_jobs rename to order_jobs_gone");
    const ids = await world.posted(ordersOf(30));
    expect(await world.drained()).toMatchObject({ stored: 0, dead: 0, outcome: "misconfigured" });
    expect(world.said.find(({ event }) => event === "store.misconfigured")?.fields.reason).toBe(
      "undefined table (SQLSTATE 42P01): table orders, function add_order_jobs",
    );
    await expectConserved(world, "orders", ids);
    await world.sql.query("alter table order_jobs_gone rename to order_jobs");
    expect(await world.drained()).toMatchObject({ stored: 30, dead: 0 });
    expect(await world.idsIn("order_jobs")).toEqual([...ids].sort());
    await expectConserved(world, "orders", ids);
  });

  test("a trigger that fails for one order's data makes that order a dead letter, and leaves no job of it", async () => {
    await world.sql.query("alter table order_jobs add constraint spoilt check (event ->> 'cents' <> '13')");
    const ids = await world.posted(ordersOf(30));
    expect(await world.drained()).toMatchObject({ stored: 29, dead: 1 });
    expect(await world.idsIn("order_jobs")).toEqual(ids.filter((_, i) => i !== 13).sort());
    await expectConserved(world, "orders", ids);
  });
});

describe("live counters", () => {
  const byShop =
    "select shop, count(*) as orders, sum(cents) as cents from orders group by shop order by shop";

  test("a materialised view has the numbers of its last refresh, and is read while it is refreshed", async () => {
    const ids = await world.posted(ordersOf(90));
    await world.drained();
    await world.sql.query(block("orders-by-shop.sql"));
    const first = await world.queried(byShop);
    ids.push(...(await world.posted(ordersOf(60))));
    await world.drained();
    const reading = "select shop, orders, cents from orders_by_shop order by shop";
    expect(await world.queried(reading)).toEqual(first);
    const [reader, refresher] = [await world.sql.connect(), await world.sql.connect()];
    try {
      await reader.query("begin");
      expect((await reader.query(reading)).rows).toEqual(first); // holds its lock to the end
      await refresher.query("set lock_timeout = '2s'"); // it is to wait for no reader
      await refresher.query(block("refresh.sql"));
    } finally {
      await reader.query("rollback");
      await refresher.query("reset lock_timeout");
      reader.release();
      refresher.release();
    }
    expect(await world.queried(reading)).toEqual(await world.queried(byShop));
    expect(await world.queried(reading)).not.toEqual(first);
    await expectConserved(world, "orders", ids);
  });

  test("a rollup is exact over all partitions at once, with second copies and with an order that Postgres refuses", async () => {
    await world.sql.query(block("shop-totals.sql"));
    await world.sql.query("alter table orders add constraint spoilt check (cents <> 13)");
    const ids: string[] = [];
    for (let index = 0; index < 8; index++)
      ids.push(...(await pushEvents(world, { stream: "orders", index }, ordersOf(120))));
    const copies = ids.slice(0, 200).map((id, i) => envelopeOf(ordersOf(120)[i % 120], { id }).envelope);
    await world.buffer.push({ stream: "orders", index: 9 }, copies);
    await world.drained();
    expect(await world.drained()).toMatchObject({ outcome: "empty", remaining: 0 });
    expect(await world.queried("select shop, orders, cents from shop_totals order by shop")).toEqual(
      await world.queried(byShop),
    );
    expect((await world.queried("select count(*)::int as n from orders"))[0]).toEqual({ n: 960 - 8 });
    await expectConserved(world, "orders", ids);
  });
});

describe("what not to build on a buffer", () => {
  test("after a 202 nobody can read it yet; with ack=stored it is there once it is answered", async () => {
    const [id = ""] = await world.posted(ordersOf(1));
    expect(await world.idsIn("orders")).toEqual([]);
    expect((await world.ingest.where("orders", id)).status).toBe(404);
    const stored = await world.ingest.post("orders", { shop: "north", cents: 1 }, { query: "?ack=stored" });
    expect([stored.status, await world.idsIn("orders")]).toEqual([201, stored.body.ids]);
    await world.drained();
    await expectConserved(world, "orders", [id, ...stored.body.ids]);
  });

  test("two buyers of the last piece both get a 202, and one of them becomes a dead letter", async () => {
    await world.sql.query("create unique index last_piece on orders (shop) where cents = 0");
    const first = await world.posted([{ shop: "north", cents: 0 }]);
    const second = await world.posted([
      { shop: "north", cents: 0 },
      { shop: "south", cents: 5 },
    ]);
    expect(await world.drained()).toMatchObject({ stored: 2, dead: 1 });
    await world.sql.query("drop index last_piece");
    await expectConserved(world, "orders", [...first, ...second]);
  });
});
