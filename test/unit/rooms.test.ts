/**
 * The arrows between rooms: each import that a room may not have is a lint error, and each that it may have is none.
 * Files with every import are linted in a folder of their own, by the project's rules.
 */
import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";

const project = fileURLToPath(new URL("../../", import.meta.url));

/** Every place that a file may import from. */
const PLACES = {
  access: "lib/access/x.ts",
  buffer: "lib/buffer/x.ts",
  "cloud-run": "lib/cloud-run/x.ts",
  contract: "lib/contract/x.ts",
  drain: "lib/drain/x.ts",
  flow: "lib/flow/x.ts",
  ingest: "lib/ingest/x.ts",
  openapi: "lib/openapi/x.ts",
  operate: "lib/operate/x.ts",
  schema: "lib/schema/x.ts",
  store: "lib/store/x.ts",
  streams: "lib/streams/x.ts",
  log: "lib/log.ts",
  config: "lib/config.ts",
  "http-post": "lib/http-post.ts",
  functions: "functions/x.ts",
  drizzle: "drizzle/x.ts",
  dev: "dev/stack/x.ts",
  bench: "bench/x.ts",
  "test/streams": "test/streams/x.ts",
  "test/integration": "test/integration/x.ts",
  client: "packages/client/src/x.ts",
  examples: "examples/any/x.ts",
  "node:fs": "node:fs",
  "@upstash/redis": "@upstash/redis",
  "@redis/client": "@redis/client",
  "drizzle-orm": "drizzle-orm/pg-core",
  "@neondatabase/serverless": "@neondatabase/serverless",
  pg: "pg",
} as const;
type Place = keyof typeof PLACES;

const ROOT = ["log", "config", "http-post"] as const;
const USE_CASE = [...ROOT, "buffer", "contract", "flow", "schema", "store"] as const;
const LIB = [
  "access",
  "buffer",
  "cloud-run",
  "contract",
  "drain",
  "flow",
  "ingest",
  "openapi",
  "operate",
  "schema",
  "store",
] as const;
const VENDORS = ["@upstash/redis", "@redis/client", "drizzle-orm", "@neondatabase/serverless"] as const;

/** What a file of each place may import, beside its own room. */
const MAY: [file: string, own: Place | undefined, may: readonly Place[]][] = [
  ["lib/any.ts", undefined, ROOT],
  ["lib/streams/any.ts", "streams", ["schema", "drizzle-orm"]],
  ["lib/schema/any.ts", "schema", [...ROOT, "drizzle-orm"]],
  ["lib/flow/any.ts", "flow", ["log"]],
  ["lib/contract/any.ts", "contract", []],
  ["lib/cloud-run/any.ts", "cloud-run", ROOT],
  ["lib/buffer/any.ts", "buffer", [...ROOT, "schema", "@upstash/redis", "@redis/client"]],
  ["lib/store/any.ts", "store", [...ROOT, "schema", "drizzle-orm", "@neondatabase/serverless", "pg"]],
  ["lib/openapi/any.ts", "openapi", [...ROOT, "contract", "schema"]],
  ["lib/access/any.ts", "access", USE_CASE],
  ["lib/ingest/any.ts", "ingest", USE_CASE],
  ["lib/drain/any.ts", "drain", USE_CASE],
  ["lib/operate/any.ts", "operate", USE_CASE],
  ["functions/any.ts", "functions", [...ROOT, ...LIB]],
  ["drizzle/any.ts", "drizzle", [...ROOT, ...LIB, "drizzle-orm", "pg"]],
  ["dev/any.ts", "dev", [...ROOT, ...LIB, "functions", "drizzle", "client", "test/streams", "pg"]],
  ["dev/operate/any.ts", "dev", [...ROOT, ...LIB, "functions", "drizzle", "client", "test/streams", "pg"]],
  [
    "testing/any.ts",
    undefined,
    [...ROOT, ...LIB, "functions", "drizzle", "dev", "client", "drizzle-orm", "pg"],
  ],
  [
    "bench/any.ts",
    "bench",
    [...ROOT, ...LIB, "functions", "drizzle", "dev", "client", "test/streams", "pg", ...VENDORS],
  ],
  ["packages/client/src/any.ts", "client", []],
  ["packages/client/src/stores/any.ts", "client", []],
  ["packages/client/src/stores/files.ts", "client", ["node:fs"]],
  [
    "packages/client/test/any.ts",
    undefined,
    [
      ...ROOT,
      ...LIB,
      "client",
      "functions",
      "drizzle",
      "dev",
      "test/streams",
      "test/integration",
      "examples",
      "pg",
    ],
  ],
  ["examples/any/any.ts", "examples", ["schema", "drizzle-orm"]],
  [
    "dev/load/any.ts",
    "dev",
    [...ROOT, ...LIB, "functions", "drizzle", "client", "test/streams", "drizzle-orm", "pg"],
  ],
  [
    "dev/screenshots/any.ts",
    "dev",
    [...ROOT, ...LIB, "functions", "drizzle", "client", "test/streams", "drizzle-orm", "pg"],
  ],
  [
    "dev/surge/any.ts",
    "dev",
    [...ROOT, ...LIB, "functions", "drizzle", "client", "test/streams", "drizzle-orm", "pg"],
  ],
  ["packages/console/src/panels/any.ts", undefined, ["contract"]],
  ["test/unit/any.ts", undefined, (Object.keys(PLACES) as Place[]).filter((place) => place !== "streams")],
];

let folder: string;
/** The places that each file was told off for, by file. */
const refused = new Map<string, Set<Place>>();

beforeAll(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), "spillway-rooms-")));
  for (const file of ["biome.json", "biome.rooms.jsonc", ".gitignore"])
    cpSync(join(project, file), join(folder, file));
  const places = Object.keys(PLACES) as Place[];
  for (const [file] of MAY) {
    mkdirSync(join(folder, dirname(file)), { recursive: true });
    const imports = places.map((place) => `import "${specifier(file, PLACES[place])}";`);
    writeFileSync(join(folder, file), `${imports.join("\n")}\n`);
  }
  for (const { line, path } of lint()) {
    const place = places[line - 1];
    if (place) refused.set(path, (refused.get(path) ?? new Set()).add(place));
  }
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function specifier(from: string, to: string): string {
  if (!to.endsWith(".ts")) return to;
  const path = relative(dirname(from), to);
  return path.startsWith(".") ? path : `./${path}`;
}

/** Lints the folder; GitHub's format has a line a finding. */
function lint(): { path: string; line: number }[] {
  const biome = join(project, "node_modules/.bin/biome");
  const args = [
    "lint",
    "--only=style/noRestrictedImports",
    "--reporter=github",
    "--max-diagnostics=none",
    ".",
  ];
  let said: string;
  try {
    said = execFileSync(biome, args, { cwd: folder, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
  } catch (error) {
    said = (error as { stdout: string }).stdout; // it exits with 1 because it found something
  }
  const findings = said.matchAll(/title=lint\/style\/noRestrictedImports,file=([^,]+),line=(\d+)/g);
  return [...findings].map(([, path = "", line]) => ({
    path: relative(folder, resolve(folder, path)),
    line: Number(line),
  }));
}

test("each room of lib/ has its rule", () => {
  const rooms = readdirSync(join(project, "lib"), { withFileTypes: true }).filter((one) => one.isDirectory());
  const ruled = new Set(MAY.map(([file]) => dirname(file)));
  expect(rooms.map(({ name }) => `lib/${name}`).filter((room) => !ruled.has(room))).toEqual([]);
});

test.each(MAY)("%s may import what its room may, and nothing else", (file, own, may) => {
  const runsInPages = /^packages\/(client|console)\/src\//.test(file);
  const node: Place[] = runsInPages ? [] : ["node:fs"];
  const allowed = new Set<Place>([...may, ...node, ...(own ? [own] : [])]);
  const forbidden = (Object.keys(PLACES) as Place[]).filter((place) => !allowed.has(place));
  expect([...(refused.get(file) ?? [])].sort()).toEqual(forbidden.sort());
});
