/** The image of both functions, as far as it can be read without building it. */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { NODE_FLAGS } from "../../dev/stack/node-flags.ts";

const dockerfile = readFileSync(new URL("../../Dockerfile", import.meta.url), "utf8");

test("the image starts Node with the flags with which functions run locally, in tests and in benchmarks", () => {
  const command = JSON.parse(/^ENTRYPOINT (\[.*\])$/m.exec(dockerfile)?.[1] ?? "[]") as string[];
  expect(command.filter((word) => word.startsWith("--"))).toEqual(NODE_FLAGS);
});

test("the image is built from Google's mirror, because Docker Hub limits whoever pulls without a name", () => {
  const bases = [...dockerfile.matchAll(/^FROM (\S+)/gm)].map(([, base]) => base);
  expect(bases.length).toBeGreaterThan(0);
  expect(bases.filter((base) => !base?.startsWith("mirror.gcr.io/library/"))).toEqual([]);
});
