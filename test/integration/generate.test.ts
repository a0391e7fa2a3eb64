/**
 * The types of a client's events, by `spillway generate` and by openapi-typescript: with both, every example of every stream compiles,
 * and what Spillway would refuse for its form does not.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { streamsFile } from "../../dev/operate/generate/streams-file.ts";
import { typeOf } from "../../dev/operate/generate/type-of.ts";
import { readConfig } from "../../lib/config.ts";
import { documentOf, partOf } from "../../lib/openapi/document.ts";
import { type Example, exampleOf } from "../../lib/schema/example.ts";
import type { JsonSchema } from "../../lib/schema/json-schema-forms.ts";
import type { Stream } from "../../lib/schema/stream.ts";
import { loadOwnStreams } from "../own-installation.ts";
import { loadTestStreams } from "../streams/run/test-streams.ts";
import { project } from "./project-copy.ts";
import { runSpillway } from "./run-spillway.ts";

/** Examples of each stream: each value at both of its bounds. */
const EXAMPLES = 12;

let folder: string;
let streams: Stream[];
beforeAll(async () => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), "spillway-generate-")));
  writeFileSync(join(folder, "package.json"), JSON.stringify({ type: "module" }));
  symlinkSync(join(project, "node_modules"), join(folder, "node_modules"));
  streams = [...(await loadTestStreams()).values()];
  writeFileSync(join(folder, "spillway-streams.ts"), streamsFile(streams));
  writeFileSync(join(folder, "openapi.json"), JSON.stringify(documentOf(streams.map(part))));
  const generator = join(project, "test/openapi/node_modules/openapi-typescript/bin/cli.js");
  const options = { cwd: folder, stdio: "pipe" } as const;
  execFileSync(process.execPath, [generator, "openapi.json", "-o", "openapi.d.ts"], options);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const limits = readConfig({
  UPSTASH_REDIS_REST_URL: "http://localhost",
  UPSTASH_REDIS_REST_TOKEN: "none",
  DATABASE_URL: "postgres://localhost/none",
});
const part = (stream: Stream) => partOf(stream, limits);

/** Compiles a file, strictly, beside the generated ones; returns what the compiler says. */
function compile(lines: readonly string[]): string {
  writeFileSync(join(folder, "main.ts"), lines.join("\n"));
  const compilerOptions = {
    ...{ strict: true, exactOptionalPropertyTypes: true, noEmit: true, allowImportingTsExtensions: true },
    ...{ module: "nodenext", target: "es2023", lib: ["es2023", "dom"], types: [] },
  };
  writeFileSync(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions, files: ["main.ts"] }));
  const tsc = join(project, "node_modules/typescript/bin/tsc");
  return spawnSync(process.execPath, [tsc], { cwd: folder, encoding: "utf8" }).stdout;
}

const CLIENT = JSON.stringify(join(project, "packages/client/src/index.ts"));
const makers = {
  "spillway generate": [
    `import { createClient } from ${CLIENT};`,
    'import type { Streams } from "./spillway-streams.ts";',
    'const spillway = createClient<Streams>({ url: "", key: "" });',
  ],
  "openapi-typescript": [
    `import { createClient, type StreamsOf } from ${CLIENT};`,
    'import type { paths } from "./openapi.d.ts";',
    'const spillway = createClient<StreamsOf<paths>>({ url: "", key: "" });',
  ],
};

describe.each(Object.entries(makers))("types by %s", (_, head) => {
  test("take every example of every stream", () => {
    const sends = streams.flatMap((stream) =>
      Array.from({ length: EXAMPLES }, (_, i) => exampleOf(stream, i))
        .filter((one): one is Example => one !== undefined)
        .map((example) => `spillway.send("${stream.name}", ${JSON.stringify(example)});`),
    );
    expect(sends.length).toBeGreaterThan(streams.length);
    expect(compile([...head, ...sends])).toBe("");
  });

  test("take no wrong event and no wrong stream", () => {
    const wrong = [
      'spillway.send("locations", { userId: "u", lat: 1, lng: 2, recordedAt: "2026-11-21T09:30:00Z", heading: 1 });',
      'spillway.send("locations", { userId: "u", lat: 1, lng: 2 });',
      'spillway.send("locations", { userId: "u", lat: "1", lng: 2, recordedAt: "2026-11-21T09:30:00Z" });',
      'spillway.send("locations", { userId: null, lat: 1, lng: 2, recordedAt: "2026-11-21T09:30:00Z" });',
      'spillway.send("nowhere", { userId: "u" });',
      'spillway.send("events/{id}", { userId: "u" });',
      'spillway.send("openapi.json", {});',
      'spillway.send("locations", []);',
    ];
    const said = compile([...head, ...wrong]);
    const refused = new Set([...said.matchAll(/^main\.ts\((\d+),/gm)].map(([, line]) => Number(line)));
    expect([...refused].sort((a, b) => a - b)).toEqual(wrong.map((_, n) => head.length + n + 1));
  });
});

describe("typeOf", () => {
  const cases: [string, JsonSchema, string][] = [
    ["any value", { description: "words" }, "unknown"],
    ["no value", { not: {} }, "never"],
    ["any value but null", { not: { type: "null" } }, "NonNullable<unknown>"],
    ["kinds", { type: ["integer", "boolean", "null"], minimum: 3 }, "number | boolean | null"],
    ["literals", { enum: ["a", 'b"', 5, null] }, '"a" | "b\\"" | 5 | null'],
    ["a literal beside its kind", { anyOf: [{ type: "string" }, { const: "" }] }, "string"],
    ["lists", { type: "array", items: { type: ["string", "null"] } }, "(string | null)[]"],
    [
      "tuples",
      { type: "array", prefixItems: [{ type: "string" }, { type: "number" }], items: false, minItems: 1 },
      "[string, number?]",
    ],
    [
      "tuples with a rest",
      { type: "array", prefixItems: [{ type: "string" }], items: { type: "null" }, minItems: 1 },
      "[string, ...null[]]",
    ],
    ["both", { allOf: [{ enum: [1, 2] }, { type: "number" }] }, "(1 | 2) & number"],
    ["a part", { $ref: "#/components/schemas/tree.1" }, "tree_1"],
    ["an empty object", { type: "object", additionalProperties: false }, "Record<string, never>"],
    ["any object", { type: "object" }, "{\n  [name: string]: unknown;\n}"],
    [
      "names that need quotes, and words that could end the comment",
      { type: "object", properties: { "a-b": { type: "string", description: "*/ x" } }, required: ["a-b"] },
      '{\n  /** *\\/ x */\n  "a-b": string;\n}',
    ],
    [
      "other keys beside named ones",
      {
        type: "object",
        properties: { n: { type: "number" } },
        additionalProperties: { type: "string" },
      },
      "{\n  n?: number | undefined;\n  [name: string]: string | number | undefined;\n}",
    ],
  ];
  test.each(cases)("writes %s", (_, json, type) => {
    expect(typeOf(json)).toBe(type);
  });

  test("writes types that compile, one that stands within itself too", () => {
    const types = cases.map(([, json], n) => `export type T${n} = ${typeOf(json)};`);
    expect(compile([...types, "type tree_1 = { children?: tree_1[] };"])).toBe("");
  });
});

test("the command writes the file of your streams, without any server, and its errors are one sentence", async () => {
  const file = join(folder, "yours.ts");
  const env = { UPSTASH_REDIS_REST_URL: "", DATABASE_URL: "" };
  const { code, out, err } = await runSpillway(["generate", file], { env });
  expect([code, out, err]).toEqual([0, "", ""]);
  const yours = [...(await loadOwnStreams()).values()].filter(({ retired }) => !retired);
  expect(readFileSync(file, "utf8")).toBe(streamsFile(yours));
  expect((await runSpillway(["generate"])).out).toBe(streamsFile(yours));
  expect(compile(['export type { Streams } from "./yours.ts";'])).toBe("");
  const unknown = await runSpillway(["generate", "--streams", "no_such_stream_of_yours"]);
  expect([unknown.code, unknown.out]).toEqual([2, ""]);
  expect(unknown.err).toContain('there is no stream "no_such_stream_of_yours"');
  const unwritten = await runSpillway(["generate", join(folder, "no such folder/x.ts")]);
  expect([unwritten.code, unwritten.err]).toEqual([
    1,
    expect.stringMatching(/can't be written \(ENOENT\)\.\n$/),
  ]);
});
