/** A test's world with the stream of docs/recipes.md, ingest, and a folder in which the page's programs run. */
import { expect } from "vitest";
import { drain } from "../../lib/drain/drain.ts";
import { openFolder } from "./recipe-page.ts";
import { serveIngest } from "./test-ingest.ts";
import { openWorldWith } from "./test-stack.ts";

export type RecipeWorld = Awaited<ReturnType<typeof openRecipes>>;

const SHOPS = ["north", "south", "east"];

/** Good orders, each with cents of its own. */
export const ordersOf = (count: number) =>
  Array.from({ length: count }, (_, i) => ({ shop: SHOPS[i % 3] as string, cents: i }));

/** Opens it; `close` it after the file's last test. */
export async function openRecipes() {
  const folder = await openFolder();
  const world = await openWorldWith(folder.orders, "shop text not null, cents integer not null");
  const ingest = await serveIngest(world);

  const queried = async (text: string) => (await world.sql.query(text)).rows;
  const idsIn = async (table: string): Promise<string[]> =>
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

  const untilEmpty = (what: string) =>
    expect.poll(() => queried(`select 1 from ${what} limit 1`), { timeout: 30_000 }).toEqual([]);

  /** Ends the page's programs, and takes away what its SQL made. */
  async function clean(): Promise<void> {
    await folder.killAll();
    await world.sql.query(`
      drop trigger if exists add_order_jobs on orders;
      drop trigger if exists add_to_shop_totals on orders;
      drop function if exists add_order_jobs, add_to_shop_totals;
      drop table if exists order_jobs, order_jobs_gone, outbox, shop_orders, shop_totals;
      drop materialized view if exists orders_by_shop;
      alter table orders drop constraint if exists spoilt`);
  }

  async function close(): Promise<void> {
    await ingest.close();
    await world.close();
    folder.close();
  }

  return { ...world, folder, ingest, queried, idsIn, drained, posted, untilEmpty, clean, close };
}
