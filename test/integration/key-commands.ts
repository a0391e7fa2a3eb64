/** The commands on keys for tests: over HTTP, to a supervisor of a world. */
import { createHash } from "node:crypto";
import { expect } from "vitest";
import { createSupervisor, type SupervisorDeps } from "../../functions/supervisor.ts";
import { askSupervisor } from "./documented.ts";
import type { World } from "./test-stack.ts";

export const digestOf = (key: string): string => createHash("sha256").update(key).digest("hex");

export type KeyCommands = Awaited<ReturnType<typeof serveKeyCommands>>;

/** Serves a supervisor of its own; `close` it after its last test. */
export async function serveKeyCommands(world: World, more: Partial<SupervisorDeps> = {}) {
  const { url, close } = await world.serve(createSupervisor(world.supervisor(more)));

  const call = (method: string, path: string, body?: object) =>
    askSupervisor(url, path, {
      method,
      ...(body && { body: JSON.stringify(body), headers: { "content-type": "application/json" } }),
    });

  const command = (body: object) => call("POST", "/keys", body);

  /** Makes a key, and returns it. */
  async function create(name: string, more: object = {}): Promise<string> {
    const { status, body } = await command({ action: "create", name, ...more });
    expect({ status, body }).toMatchObject({ status: 201, body: { name, isCopied: true } });
    return body.key as string;
  }

  async function rotate(name: string, more: object = {}): Promise<string> {
    const { status, body } = await command({ action: "rotate", name, ...more });
    expect({ status, body }).toMatchObject({ status: 201, body: { name, isCopied: true } });
    return body.key as string;
  }

  async function revoke(name: string): Promise<void> {
    expect(await command({ action: "revoke", name })).toMatchObject({
      status: 200,
      body: { isRefused: true },
    });
  }

  const list = async () => (await call("GET", "/keys")).body.keys;

  return { url, close, call, command, create, rotate, revoke, list };
}

/** The digests that the copy should have (those that expired stay in it), those that it has, and its generation. */
export async function compareCopy({ sql, redis }: Pick<World, "redis" | "sql">) {
  const { rows } = await sql.query("select sha256 from api_keys where revoked_at is null order by 1");
  const { generation = "", ...copied } = await redis.hgetall("{spillway}:keys");
  return { generation, table: rows.map(({ sha256 }) => sha256 as string), copy: Object.keys(copied).sort() };
}
