/**
 * The npm package, packed without the network: which files it has, what they import, how its exports resolve, and its command line in an
 * installation. The installation has the packed files and this project's node_modules, so nothing is installed.
 */
import { execFileSync, spawn, spawnSync } from "node:child_process";
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { findFreePorts } from "../../dev/stack/ports.ts";
import {
  installation,
  linkPackages,
  pack,
  packageImports,
  packed,
  relativeImports,
  STREAM,
  source,
  untilHealthy,
  write,
} from "./packed-project.ts";
import { project } from "./project-copy.ts";

let tarball: string;
let files: string[];
beforeAll(() => {
  ({ tarball, files } = pack());
}, 180_000);

const read = (file: string) => readFileSync(join(packed, file), "utf8");
const json = () =>
  JSON.parse(read("package.json")) as Record<"dependencies" | "peerDependencies", Record<string, string>> & {
    exports: Record<string, string | Record<string, string>>;
  };

describe("the files of the package", () => {
  const ALLOWED = [
    /^(LICENSE|README\.md|CHANGELOG\.md|\.env\.example|package\.json|bin\/spillway\.mjs)$/,
    /^dist\/(functions|lib|drizzle|testing)\/[\w/-]+(\.js|\.d\.ts)$/,
    /^dist\/dev\/[\w/-]+(\.js|\.mjs)$/,
    /^dist\/dev\/console\/page\/(index\.html|console\.js|console\.css|icon\.svg|LICENSES)$/,
    /^dist\/lib\/buffer\/lua\/[\w-]+\.lua$/,
    /^dist\/drizzle\/spillway\/(\d{4}_\w+\.sql|meta\/(_journal|\d{4}_snapshot)\.json)$/,
    /^packages\/client\/dist\/[\w/-]+(\.min)?(\.js|\.d\.ts)$/,
    /^terraform\/(service\/)?([\w-]+\.tf|terraform\.tfvars\.example)$/,
    /^deploy\/[\w-]+\.sh$/,
    /^docs\/[\w-]+\.md$/,
    /^template\/([\w-]+\/)*[\w.-]+$/,
  ];

  test("are all those that init copies", () => {
    const names = execFileSync("git", ["ls-files", "template"], { cwd: project, encoding: "utf8" });
    expect(files.filter((file) => file.startsWith("template/"))).toEqual(names.trim().split("\n").sort());
  });

  test("are those that an installation needs, and none that is a deployer's own", () => {
    expect(files.filter((file) => !ALLOWED.some((rule) => rule.test(file)))).toEqual([]);
    expect(ALLOWED.filter((rule) => !files.some((file) => rule.test(file)))).toEqual([]);
    expect(
      files.filter(
        (file) =>
          /streams\/(?!.*lib\/)|drizzle\/migrations/.test(file) && !/^(dist\/dev|template)\//.test(file),
      ),
    ).toEqual([]);
    expect(files.filter((file) => /\bBAIT\b/.test(read(file)))).toEqual([]);
  });

  test("are there whenever one imports another", () => {
    const missing = files
      .filter((file) => /\.(js|mjs|d\.ts)$/.test(file) && !file.endsWith(".min.js"))
      .flatMap((file) => relativeImports(read(file)).map((to) => ({ file, to, at: join(dirname(file), to) })))
      .filter(({ at }) => !files.includes(at) && !files.includes(at.replace(/\.js$/, ".d.ts")));
    expect(missing).toEqual([]);
  });

  test("import what the package depends on; what only developers run also imports tools that an installation has", () => {
    const { dependencies, peerDependencies } = json();
    const known = new Set(Object.keys({ ...dependencies, ...peerDependencies }));
    const TOOLS = ["esbuild", "ioredis", "tsx", "vitest"];
    const unknown = files
      .filter((file) => /^(dist|bin)\/.*\.m?js$/.test(file) && !file.includes("/page/"))
      .flatMap((file) => packageImports(read(file)).map((name) => `${name} of ${file}`))
      .filter((one) => !known.has(one.split(" ")[0] ?? ""));
    expect(new Set(unknown.map((one) => one.split(" ")[0]))).toEqual(new Set(TOOLS));
    expect(unknown.filter((one) => !/ of (dist\/dev|dist\/testing|bin)\//.test(one))).toEqual([]);
  });
});

test("its exports are right by publint and, for ES modules, by arethetypeswrong", () => {
  const run = (name: string, ...args: string[]) =>
    spawnSync(join(project, "node_modules/.bin", name), args, { encoding: "utf8", cwd: source });
  const linted = run("publint", tarball, "--strict");
  expect([linted.status, linted.stdout]).toEqual([0, expect.stringContaining("All good!")]);
  const typed = run("attw", tarball, "--profile", "esm-only", "--format", "json");
  expect([typed.status, typed.stdout.length > 0]).toEqual([0, true]);
}, 120_000);

describe("an installation of the package", () => {
  const at = (file: string) => join(installation, file);

  beforeAll(() => {
    write(
      installation,
      "package.json",
      JSON.stringify({
        ...{ name: "installed", type: "module", main: "dist/server.js" },
        dependencies: { spillway: "*" },
      }),
    );
    write(
      installation,
      "server.ts",
      `import { serve } from "spillway/server";\nawait serve(new URL("./streams/", import.meta.url));\n`,
    );
    write(installation, "streams/orders.ts", STREAM);
    write(
      installation,
      "tsconfig.json",
      JSON.stringify({
        compilerOptions: {
          module: "nodenext",
          target: "es2023",
          types: ["node"],
          strict: true,
          noEmit: true,
          skipLibCheck: true,
        },
        include: ["server.ts", "streams", "types.ts"],
      }),
    );
    linkPackages();
  });

  function spillway(...args: string[]) {
    const { status, stdout, stderr } = spawnSync(
      process.execPath,
      [join(packed, "bin/spillway.mjs"), ...args],
      {
        ...{ cwd: installation, encoding: "utf8", input: "" },
        env: { ...process.env, DATABASE_URL: "" },
      },
    );
    return { status, out: stdout, err: stderr };
  }

  test("has the whole command line, which knows its streams", () => {
    const commands = readdirSync(join(project, "dev/operate/commands")).map((file) =>
      file.replace(/\.ts$/, ""),
    );
    const help = spillway("--help");
    expect([help.status, help.err]).toEqual([0, ""]);
    for (const name of commands) expect(help.out).toMatch(new RegExp(`^  ${name} `, "m"));
    const { status, out } = spillway("openapi");
    expect([status, Object.keys((JSON.parse(out) as { paths: object }).paths)]).toEqual([
      0,
      expect.arrayContaining(["/v1/orders"]),
    ]);
  });

  test("has types for each export, without the sources", () => {
    const names = Object.keys(json().exports).filter((name) => name !== "./package.json");
    const uses = names.map(
      (name, i) =>
        `import * as m${i} from "${name.replace(/^\./, "spillway")}";\nexport const use${i} = Object.keys(m${i});`,
    );
    const wrong = `import { serve } from "spillway/server";\n// @ts-expect-error: it wants a URL\nvoid serve("./streams/");`;
    write(installation, "types.ts", `${uses.join("\n")}\n${wrong}\n`);
    const tsc = join(project, "node_modules/.bin/tsc");
    const args = ["--noEmit", "--skipLibCheck", "false", "--pretty", "false"];
    const { stdout } = spawnSync(tsc, args, { cwd: installation, encoding: "utf8" });
    // Drizzle's own types need the drivers of every database.
    const ours = /^(types\.ts|server\.ts|streams\/|node_modules\/spillway\/)/;
    expect(stdout.split("\n").filter((line) => ours.test(line))).toEqual([]);
    rmSync(at("types.ts"));
  });

  test("gets a migration, and is built with it to dist/, which the framework serves", async () => {
    expect(spillway("db-generate", "--name", "first")).toMatchObject({
      status: 0,
      out: expect.stringContaining("drizzle/migrations/0000_first.sql\n"),
    });
    expect(spillway("build")).toEqual({ status: 0, out: "", err: "" });
    const built = readdirSync(at("dist"), { recursive: true, encoding: "utf8" });
    expect(built).toEqual(
      expect.arrayContaining(["server.js", "streams/orders.js", "drizzle/migrations/0000_first.sql"]),
    );
    expect(built).not.toContain("types.js");
    const [port = 0] = await findFreePorts(1);
    const framework = at("node_modules/@google-cloud/functions-framework/build/src/main.js");
    const child = spawn(process.execPath, [framework, "--target=ingest", "--port", String(port)], {
      ...{ cwd: installation, stdio: "ignore" },
      env: {
        PATH: process.env.PATH,
        REDIS_URL: "redis://127.0.0.1:1",
        DATABASE_URL: "postgres://u:p@127.0.0.1:1/x",
      },
    });
    try {
      await untilHealthy(port);
    } finally {
      child.kill("SIGKILL");
    }
  });

  test("with an error in its types is not built: tsc says where, and dist/ stays as it was", () => {
    const before = readFileSync(at("dist/streams/orders.js"), "utf8");
    writeFileSync(at("streams/orders.ts"), STREAM.replace('name: "orders"', "name: 1"));
    const { status, out, err } = spillway("build");
    expect([status, out]).toEqual([1, ""]);
    expect(err).toMatch(/^spillway build: streams\/orders\.ts\(5,\d+\): error TS\d+: /);
    expect(readFileSync(at("dist/streams/orders.js"), "utf8")).toBe(before);
    writeFileSync(at("streams/orders.ts"), STREAM);
  });

  test("without the entry point that package.json names is not built, in one sentence", () => {
    const entry = readFileSync(at("server.ts"));
    rmSync(at("server.ts"));
    expect(spillway("build")).toEqual({
      ...{ status: 1, out: "" },
      err: `spillway build: ${at("server.ts")} is missing: package.json's "main" is dist/server.js, which is compiled from it\n`,
    });
    writeFileSync(at("server.ts"), entry);
    expect(existsSync(at("dist/server.js"))).toBe(true);
  });

  test("without a tool that a command needs says how to have it", () => {
    const tool = at("node_modules/esbuild");
    rmSync(tool);
    expect(spillway("start")).toEqual({
      ...{ status: 1, out: "" },
      err: "spillway start: esbuild is not installed: npm install --save-dev esbuild\n",
    });
    expect(existsSync(at(".local/stack.json"))).toBe(false);
    symlinkSync(join(project, "node_modules/esbuild"), tool);
  });

  test("outside of an installation a command says so in one sentence", () => {
    const elsewhere = mkdtempSync(join(tmpdir(), "spillway-nowhere-"));
    const { status, stderr } = spawnSync(process.execPath, [join(packed, "bin/spillway.mjs"), "openapi"], {
      ...{ cwd: elsewhere, encoding: "utf8" },
    });
    rmSync(elsewhere, { recursive: true });
    expect([status, stderr]).toEqual([
      1,
      expect.stringMatching(/^spillway openapi: .* is in no installation of Spillway: .*\n$/),
    ]);
  });
});
