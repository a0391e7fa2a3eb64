// Compiles what runs in production (functions, lib, the migrator) to dist/, with the Lua scripts beside it.
import { execFileSync } from "node:child_process";
import { cpSync, rmSync } from "node:fs";
import { fileURLToPath } from "node:url";

process.chdir(fileURLToPath(new URL("..", import.meta.url)));
rmSync("dist", { recursive: true, force: true });
execFileSync("node_modules/.bin/tsc", ["--project", "dev/tsconfig.build.json"], { stdio: "inherit" });
cpSync("lib/buffer/lua", "dist/lib/buffer/lua", { recursive: true });
cpSync("drizzle/migrations", "dist/drizzle/migrations", { recursive: true });
