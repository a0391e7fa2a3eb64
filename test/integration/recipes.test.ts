/** docs/recipes.md: its blocks of code, run as they stand there against real servers, and what its tables say happens. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { drain } from "../../lib/drain/drain.ts";
import { workerServers } from "../worker-servers.ts";
import { type Answer, serveAtTheDoor } from "./one-at-the-door.ts";
import { block, blockCount, blocks, openFolder, type RecipeFolder } from "./recipe-page.ts";
import { type Ingest, serveIngest } from "./test-ingest.ts";
import { envelopeOf, expectConserved, KEY, openWorldWith, pushEvents, type World } from "./test-stack.ts";

let folder: RecipeFolder;
let world: World;
let ingest: Ingest;
beforeAll(async () => {
  folder = await openFolder();
  world = await openWorldWith(folder.orders, "shop text not null, cents integer not null");
  ingest = await serveIngest(world);
});
beforeEach(() => world.reset());
afterEach(async () => {
  await folder.killAll();
  await world.sql.query(`
    drop trigger if exists add_order_jobs on orders;
    drop trigger if exists add_to_shop_totals on orders;
    drop function if exists add_order_jobs, add_to_shop_totals;
    drop table if exists order_jobs, order_jobs_gone, outbox, shop_orders, shop_totals;
    drop materialized view if exists orders_by_shop;
    alter table orders drop constraint if exists spoilt`);
});
afterAll(async () => {
  await ingest.close();
  await world.close();
  folder.close();
});

const SHOPS = ["north", "south", "east"];
const ordersOf = (count: number) =>
  Array.from({ length: count }, (_, i) => ({ shop: SHOPS[i % 3] as string, cents: i }));
const queried = async (text: string, params: unknown[] = []) => (await world.sql.query(text, params)).rows;
const idsIn = async (table: string) =>
  (await queried(`select id from ${table} order by id`)).map(({ id }) => id);

async function drained() {
  const { streams } = await drain(world.supervisor(), { stream: "orders" });
  return streams[0];
}

/** Posts orders, and returns their ids in order. */
async function posted(orders: readonly object[]): Promise<string[]> {
  const { status, body } = await ingest.post("orders", orders);
  expect(status).toBe(202);
  return body.ids;
}

const databaseUrl = () => workerServers().databaseUrl;
const untilEmpty = (what: string) =>
  expect.poll(() => queried(`select 1 from ${what} limit 1`), { timeout: 30_000 }).toEqual([]);

test("each block of the page has a name, and runs in a test of this file", () => {
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
    const ids = await posted(orders);
    const withIds = orders.map((order, i) => ({ ...order, id: ids[i] }));
    await posted(withIds.slice(0, 100));
    expect(await drained()).toMatchObject({ stored: 250, duplicates: 100 });
    expect(await idsIn("order_jobs")).toEqual([...ids].sort());

    const mails: string[] = [];
    let answer: Answer = () => {};
    const mailer = await serveAtTheDoor((req, body, res) => {
      mails.push(`${req.headers["idempotency-key"]}`);
      return answer(req, body, res);
    });
    const env = { DATABASE_URL: databaseUrl(), MAILER_URL: mailer.url };
    const first = folder.start("worker.ts", env);
    await expect.poll(() => mails.length, { timeout: 30_000 }).toBe(1);
    await folder.kill(first); // the mail is out, its job is not deleted
    const [twice] = mails;
    const failing = mails.concat();
    answer = ({ headers }, _, res) => {
      const isFirstTry = mails.filter((key) => key === headers["idempotency-key"]).length === 1;
      if (isFirstTry && failing.length < 3) failing.push(`${headers["idempotency-key"]}`);
      res.writeHead(isFirstTry && failing.includes(`${headers["idempotency-key"]}`) ? 500 : 204).end();
    };
    for (let i = 0; i < 2; i++) folder.start("worker.ts", env);
    await untilEmpty("order_jobs");
    await mailer.close();
    expect([...new Set(mails)].sort()).toEqual([...ids].sort());
    expect(mails).toHaveLength(253); // one of the worker that died, two that the mailer refused once
    expect(mails.filter((key) => key === twice)).toHaveLength(2);

    await posted(withIds);
    expect(await drained()).toMatchObject({ stored: 0, duplicates: 250 });
    expect(await idsIn("order_jobs")).toEqual([]);
    await expectConserved(world, "orders", ids);
  });

  test("a trigger that fails for every order is nobody's fault: the orders wait, and get their jobs once it is mended", async () => {
    await world.sql.query("alter table order_jobs rename to order_jobs_gone");
    const ids = await posted(ordersOf(30));
    expect(await drained()).toMatchObject({ stored: 0, dead: 0, outcome: "misconfigured" });
    expect(world.said.find(({ event }) => event === "store.misconfigured")?.fields.reason).toBe(
      "undefined table (SQLSTATE 42P01): table orders, function add_order_jobs",
    );
    await expectConserved(world, "orders", ids);
    await world.sql.query("alter table order_jobs_gone rename to order_jobs");
    expect(await drained()).toMatchObject({ stored: 30, dead: 0 });
    expect(await idsIn("order_jobs")).toEqual([...ids].sort());
    await expectConserved(world, "orders", ids);
  });

  test("a trigger that fails for one order's data makes that order a dead letter, and leaves no job of it", async () => {
    await world.sql.query("alter table order_jobs add constraint spoilt check (event ->> 'cents' <> '13')");
    const ids = await posted(ordersOf(30));
    expect(await drained()).toMatchObject({ stored: 29, dead: 1 });
    expect(await idsIn("order_jobs")).toEqual(ids.filter((_, i) => i !== 13).sort());
    await expectConserved(world, "orders", ids);
  });
});

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
      const answer = await fetch(`${ingest.url}${req.url}`, { method: "POST", headers, body });
      const text = await answer.text();
      if (await then(answer.status)) res.writeHead(answer.status).end(text);
    });

  const env = (url: string) => ({ DATABASE_URL: databaseUrl(), SPILLWAY_URL: url, SPILLWAY_KEY: KEY });

  test("what was committed is stored once, though the relay died after the 202; what was rolled back is nowhere", async () => {
    for (const [i, { shop, cents }] of ordersOf(300).entries())
      await place(shop, cents, i % 10 === 0 ? "rollback" : "commit");
    const ids = await idsIn("outbox");
    expect(ids).toHaveLength(270);
    const heard: number[] = [];
    const holding = await passing((status) => heard.push(status) < 0); // never
    const first = folder.start("relay.ts", env(holding.url));
    await expect.poll(() => heard, { timeout: 30_000 }).toEqual([202]);
    await folder.kill(first);
    await holding.close();
    expect(await idsIn("outbox")).toEqual(ids);
    const open = await passing(() => true);
    for (let i = 0; i < 2; i++) folder.start("relay.ts", env(open.url));
    await untilEmpty("outbox");
    await open.close();
    expect(await drained()).toMatchObject({ stored: 270, duplicates: 200, dead: 0 });
    expect((await queried("select count(*)::int as n from shop_orders"))[0]).toEqual({ n: 270 });
    await expectConserved(world, "orders", ids);
  });

  test("a 503 keeps the rows; an order that does not fit is told of, is in nobody's way, and goes out once it is mended", async () => {
    for (const { shop, cents } of ordersOf(20)) await place(shop, cents);
    await place("north", -1);
    const ids = await idsIn("outbox");
    let refusals = 0;
    const door = await serveAtTheDoor(async (req, body, res) => {
      if (refusals++ < 2) return void res.writeHead(503, { "retry-after": "1" }).end('{"code":"busy"}');
      const { authorization = "", "content-type": type = "" } = req.headers;
      const headers = { authorization, "content-type": type };
      const answer = await fetch(`${ingest.url}${req.url}`, { method: "POST", headers, body });
      res.writeHead(answer.status).end(await answer.text());
    });
    folder.start("relay.ts", env(door.url));
    await untilEmpty("outbox where errors is null");
    expect(
      await queried("select event ->> 'cents' as cents, errors -> 0 ->> 'path' as path from outbox"),
    ).toEqual([{ cents: "-1", path: "cents" }]);
    await world.sql.query('update outbox set errors = null, event = \'{"shop":"north","cents":-2}\'');
    await untilEmpty("outbox where errors is null"); // alone, it is a 422
    await world.sql.query('update outbox set errors = null, event = \'{"shop":"north","cents":1}\'');
    await untilEmpty("outbox");
    await door.close();
    expect(await drained()).toMatchObject({ stored: 21, dead: 0 });
    await expectConserved(world, "orders", ids);
  });
});

describe("live counters", () => {
  const byShop =
    "select shop, count(*) as orders, sum(cents) as cents from orders group by shop order by shop";

  test("a materialised view has the numbers of its last refresh, and is read while it is refreshed", async () => {
    const ids = await posted(ordersOf(90));
    await drained();
    await world.sql.query(block("orders-by-shop.sql"));
    const first = await queried(byShop);
    ids.push(...(await posted(ordersOf(60))));
    await drained();
    const reading = "select shop, orders, cents from orders_by_shop order by shop";
    expect(await queried(reading)).toEqual(first);
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
    expect(await queried(reading)).toEqual(await queried(byShop));
    expect(await queried(reading)).not.toEqual(first);
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
    await drained();
    expect(await drained()).toMatchObject({ outcome: "empty", remaining: 0 });
    expect(await queried("select shop, orders, cents from shop_totals order by shop")).toEqual(
      await queried(byShop),
    );
    expect((await queried("select count(*)::int as n from orders"))[0]).toEqual({ n: 960 - 8 });
    await expectConserved(world, "orders", ids);
  });
});

describe("what not to build on a buffer", () => {
  test("after a 202 nobody can read it yet; with ack=stored it is there once it is answered", async () => {
    const [id = ""] = await posted(ordersOf(1));
    expect(await idsIn("orders")).toEqual([]);
    expect((await ingest.where("orders", id)).status).toBe(404);
    const stored = await ingest.post("orders", { shop: "north", cents: 1 }, { query: "?ack=stored" });
    expect([stored.status, await idsIn("orders")]).toEqual([201, stored.body.ids]);
    await drained();
    await expectConserved(world, "orders", [id, ...stored.body.ids]);
  });

  test("two buyers of the last piece both get a 202, and one of them becomes a dead letter", async () => {
    await world.sql.query("create unique index last_piece on orders (shop) where cents = 0");
    const first = await posted([{ shop: "north", cents: 0 }]);
    const second = await posted([
      { shop: "north", cents: 0 },
      { shop: "south", cents: 5 },
    ]);
    expect(await drained()).toMatchObject({ stored: 2, dead: 1 });
    await world.sql.query("drop index last_piece");
    await expectConserved(world, "orders", [...first, ...second]);
  });
});
