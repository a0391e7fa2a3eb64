/** Where an installation is, and where its parts are. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, expect, test } from "vitest";
import { installationAt } from "../../lib/installation.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "spillway installation ä "));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function write(file: string, json: unknown): string {
  const path = join(folder, file);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, typeof json === "string" ? json : JSON.stringify(json));
  return path;
}

const make = (name: string) => {
  mkdirSync(join(folder, name), { recursive: true });
  return join(folder, name);
};

test("whoever depends on spillway is an installation, and its folders have names of their own accord", () => {
  write("package.json", { dependencies: { spillway: "^1.0.0" }, main: "./dist/server.js" });
  expect(installationAt(folder)).toEqual({
    root: folder,
    names: { streams: "streams/", migrations: "drizzle/migrations/" },
    streams: join(folder, "streams/"),
    migrations: join(folder, "drizzle/migrations/"),
    existing: join(folder, "drizzle/existing"),
    main: "dist/server.js",
    local: join(folder, ".local"),
  });
});

test("the key names other folders, with or without a slash", () => {
  write("package.json", { spillway: { streams: "./events/kinds", migrations: "db/" } });
  const { names, streams, migrations, existing, main } = installationAt(folder);
  expect(names).toEqual({ streams: "events/kinds/", migrations: "db/" });
  expect([streams, migrations]).toEqual([join(folder, "events/kinds/"), join(folder, "db/")]);
  expect([existing, main]).toEqual([join(folder, "existing"), "dist/server.js"]);
});

test("it is found from below, past packages that are none, and never inside node_modules", () => {
  write("package.json", { devDependencies: { spillway: "1" } });
  write("apps/page/package.json", { name: "page" });
  write("node_modules/spillway/package.json", { spillway: {}, name: "spillway" });
  for (const below of ["dist/streams", "apps/page/src", "node_modules/spillway/dist/drizzle"])
    expect(installationAt(make(below)).root).toBe(folder);
});

test("an image has the migrations in dist/, a checkout has its own", () => {
  write("package.json", { spillway: {} });
  const built = make("dist/drizzle/migrations");
  expect(installationAt(folder).migrations).toBe(`${built}/`);
  const own = make("drizzle/migrations");
  expect(installationAt(folder).migrations).toBe(`${own}/`);
});

test("whoever is in none hears how to make one", () => {
  expect(() => installationAt(folder)).toThrow(/^.* is in no installation of Spillway: .*npx spillway init/);
});

test("a key that names no folder inside is refused with its file", () => {
  for (const streams of ["", ".", "../elsewhere", 1, null]) {
    const file = write("package.json", { spillway: { streams } });
    expect(() => installationAt(folder)).toThrow(`${file}: spillway.streams: expected a folder inside it`);
  }
  const file = write("package.json", "{");
  expect(() => installationAt(folder)).toThrow(`${file}: expected JSON`);
});

test("this repository is an installation like any other", () => {
  const { names, main } = installationAt(dirname(fileURLToPath(import.meta.url)));
  expect([names.streams, names.migrations, main]).toEqual([
    ...["lib/streams/", "drizzle/migrations/", "dist/functions/index.js"],
  ]);
});
