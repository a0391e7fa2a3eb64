/** Commands on keys in a database that lacks their table: Postgres answers and refuses, which is told from Postgres being away. */
import { expect, test } from "vitest";
import { serveKeyCommands } from "./key-commands.ts";
import { createDatabase, openWorld } from "./test-stack.ts";

test("each command says that Postgres refuses, and why", async () => {
  const world = await openWorld({ DATABASE_URL: await createDatabase("keyless") });
  const keys = await serveKeyCommands(world);
  try {
    const answers = [await keys.call("GET", "/keys")];
    for (const action of ["create", "rotate", "revoke"])
      answers.push(await keys.command({ action, name: "app" }));
    for (const { status, body } of answers) {
      expect([status, body.code]).toEqual([503, "database-refuses"]);
      expect(body.detail).toContain("undefined table (SQLSTATE 42P01)");
    }
  } finally {
    await keys.close();
    await world.close();
  }
});
