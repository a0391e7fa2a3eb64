/**
 * An installation is the folder of whoever uses Spillway: its package.json names `spillway` among its dependencies, or has a key `spillway`.
 * The key says where its streams and its migrations are; this repository is an installation, too.
 *
 *   "spillway": { "streams": "streams/", "migrations": "drizzle/migrations/" }     (the defaults)
 *
 * It is found from the working directory upward; the migrator of an image finds it from its own place.
 */
import { existsSync, readFileSync } from "node:fs";
import { dirname, join, normalize, relative, sep } from "node:path";

export interface Installation {
  /** The folder of its package.json. */
  readonly root: string;
  /** The folders as people know them, from the root, each with a slash at its end. */
  readonly names: { readonly streams: string; readonly migrations: string };
  /** Where the streams are in TypeScript. */
  readonly streams: string;
  /** Where the migrations are. An image has only what is built, so they are in its dist/. */
  readonly migrations: string;
  /** SQL of tables that the database has already, beside the migrations. */
  readonly existing: string;
  /** The file of which a process is made that serves the functions, as package.json's `main` names it, such as `dist/server.js`. */
  readonly main: string;
  /** Holds what a local system keeps. */
  readonly local: string;
}

/** The folder of what is compiled. */
export const BUILT = "dist";

const DEFAULTS = { streams: "streams/", migrations: "drizzle/migrations/" };
const MAIN = `${BUILT}/server.js`;

interface PackageJson {
  main?: unknown;
  spillway?: { streams?: unknown; migrations?: unknown };
  dependencies?: Record<string, unknown>;
  devDependencies?: Record<string, unknown>;
}

/** Finds the installation that this folder is in. Throws one sentence if there is none, or if its key has errors. */
export function installationAt(folder: string): Installation {
  for (const root of upward(folder)) {
    const json = readPackage(join(root, "package.json"));
    if (json && isInstallation(json)) return describe(root, json);
  }
  throw new Error(
    `${folder} is in no installation of Spillway: expected a package.json there, or above, that names spillway among its dependencies (npx spillway init makes one)`,
  );
}

/** Finds the installation of the working directory. Throws as `installationAt` does. */
export const findInstallation = (): Installation => installationAt(process.cwd());

/** The folder and those above it. A package's own folder is no installation. */
function* upward(folder: string): Generator<string> {
  if (!folder.split(sep).includes("node_modules")) yield folder;
  const parent = dirname(folder);
  if (parent !== folder) yield* upward(parent);
}

function readPackage(file: string): PackageJson | undefined {
  if (!existsSync(file)) return undefined;
  try {
    return JSON.parse(readFileSync(file, "utf8")) as PackageJson;
  } catch {
    throw new Error(`${file}: expected JSON`);
  }
}

const isInstallation = ({ spillway, dependencies, devDependencies }: PackageJson): boolean =>
  [spillway, dependencies?.spillway, devDependencies?.spillway].some((one) => one !== undefined);

function describe(root: string, json: PackageJson): Installation {
  const nameOf = (which: keyof typeof DEFAULTS) => folderName(root, which, json.spillway?.[which]);
  const names = { streams: nameOf("streams"), migrations: nameOf("migrations") };
  const [own, built] = [join(root, names.migrations), join(root, BUILT, names.migrations)];
  const migrations = existsSync(own) || !existsSync(built) ? own : built;
  return {
    ...{ root, names, migrations },
    streams: join(root, names.streams),
    existing: join(dirname(own), "existing"),
    main: typeof json.main === "string" ? json.main.replace(/^\.\//, "") : MAIN,
    local: join(root, ".local"),
  };
}

/** Throws if it is no folder inside the installation. */
function folderName(root: string, which: keyof typeof DEFAULTS, given: unknown = DEFAULTS[which]): string {
  const path = typeof given === "string" ? normalize(`${given}/`) : "";
  const inside = relative(root, join(root, path));
  if (path === "" || inside === "" || inside.startsWith(".."))
    throw new Error(
      `${join(root, "package.json")}: spillway.${which}: expected a folder inside it, such as "${DEFAULTS[which]}", got ${JSON.stringify(given)}`,
    );
  return path.replace(/^\.\//, "");
}
