/** The image of both functions, as far as it can be read without building it. */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { NODE_FLAGS } from "../../dev/stack/node-flags.ts";

test("the image starts Node with the flags with which functions run locally, in tests and in benchmarks", () => {
  const dockerfile = readFileSync(new URL("../../Dockerfile", import.meta.url), "utf8");
  const command = JSON.parse(/^ENTRYPOINT (\[.*\])$/m.exec(dockerfile)?.[1] ?? "[]") as string[];
  expect(command.filter((word) => word.startsWith("--"))).toEqual(NODE_FLAGS);
});
