/** The command line takes an answer that has more than it knows, and says so if one has less: something else may have answered. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { createSupervisor } from "../../functions/supervisor.ts";
import { runSpillway } from "./run-spillway.ts";
import { expectConserved, openWorld, pushEvents, type World } from "./test-stack.ts";

/** What is done to each object of an answer on its way. */
let change: (object: Record<string, unknown>) => void;

let world: World;
let supervisor: Awaited<ReturnType<World["serve"]>>;
/** In front of it, and changes its answers. */
let between: Awaited<ReturnType<World["serve"]>>;
beforeAll(async () => {
  world = await openWorld();
  supervisor = await world.serve(createSupervisor(world.supervisor()));
  between = await world.serve(async (req, res) => {
    const body = Buffer.concat(await req.toArray());
    const response = await fetch(`${supervisor.url}${req.url}`, {
      method: req.method ?? "GET",
      ...(body.length > 0 ? { body, headers: { "content-type": "application/json" } } : {}),
    });
    res.writeHead(response.status, { "content-type": response.headers.get("content-type") ?? "" });
    res.end(JSON.stringify(changed(await response.json())));
  });
});
beforeEach(async () => {
  change = () => {};
  await world.reset();
});
afterAll(async () => {
  await between.close();
  await supervisor.close();
  await world.close();
});

function changed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(changed);
  if (typeof value !== "object" || value === null) return value;
  const object = Object.fromEntries(Object.entries(value).map(([name, part]) => [name, changed(part)]));
  change(object);
  return object;
}

const spillway = (command: string) =>
  runSpillway(command.split(" "), { env: { SUPERVISOR_URL: between.url } });

/** Leaves one event dead and one waiting. */
async function move(): Promise<string[]> {
  const ids = await pushEvents(world, { stream: "checked", index: 0 }, [{ n: 0 }, { n: 1 }]);
  await fetch(`${supervisor.url}/drain`, { method: "POST" });
  return [...ids, ...(await pushEvents(world, { stream: "checked", index: 0 }, [{ n: 2 }]))];
}

describe("an answer with further members, at any depth", () => {
  test.each([
    "status",
    "drain checked",
    "keys create shop",
    "dead-letters list",
    "dead-letters redrive --dry-run",
    "prune --dry-run",
    "pause checked",
  ])("of %s is taken, and told as JSON as it came", async (command) => {
    const ids = await move();
    change = (object) => Object.assign(object, { laterMember: { of: ["a", "later"] } });
    const { code, err, out } = await spillway(`${command} --json`);
    expect([code, err]).toEqual([0, expect.not.stringContaining("release")]);
    if (command !== "keys create shop") expect(out).toContain('"laterMember":{"of":["a","later"]');
    await expectConserved(world, "checked", ids);
  });
});

describe("an answer without a member", () => {
  test.each([
    ["status", "lastReason"],
    ["doctor", "means"],
    ["drain checked", "superseded"],
    ["keys create shop", "isCopied"],
    ["dead-letters list", "lastDiedAt"],
    ["dead-letters list --each", "next"],
    ["dead-letters redrive --dry-run", "otherKey"],
    ["dead-letters redrive", "changed"],
    ["prune --dry-run", "isDone"],
    ["pause checked", "replaced"],
  ])("of %s, %s, is a sentence", async (command, member) => {
    const ids = await move();
    change = (object) => void delete object[member];
    const { code, out, err } = await spillway(command);
    expect([code, out]).toEqual([1, ""]);
    expect(err).toMatch(
      /The answer is 20[01], but not as a supervisor of this release writes it: is something else at its address\?\n$/,
    );
    await expectConserved(world, "checked", ids);
  });
});
