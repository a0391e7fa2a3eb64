/** Reads where the servers of a running `spillway start` are, from `.local/stack.json`, and which variables name other ones. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { placeOfPostgres, problemOfPostgresUrl } from "../../lib/postgres-url.ts";
import { CommandFailed } from "./command-line.ts";
import { yourInstallation } from "./yours.ts";

/** The variables that say where Redis and Postgres are. */
const PLACES = ["REDIS_URL", "UPSTASH_REDIS_REST_URL", "UPSTASH_REDIS_REST_TOKEN", "DATABASE_URL"];

/** A variable of the environment; empty counts as unset. */
export const environmentOf = (name: string): string | undefined => process.env[name]?.trim() || undefined;

/** Whether the environment says where Redis or Postgres is. */
export const hasPlaces = (): boolean => PLACES.some((name) => environmentOf(name) !== undefined);

/** What a running stack wrote. Throws a CommandFailed that says what to set instead. */
export function readStack(instead: string): Record<string, string | undefined> {
  try {
    const stackFile = join(yourInstallation().local, "stack.json");
    return JSON.parse(readFileSync(stackFile, "utf8")) as Record<string, string | undefined>;
  } catch {
    throw new CommandFailed(
      `No servers to talk to: set ${instead} in the environment, or run npx spillway start in another terminal.`,
    );
  }
}

/** What a running stack wrote; undefined: none runs. */
export function stackIfRunning(): Record<string, string | undefined> | undefined {
  try {
    return readStack("");
  } catch {
    return undefined;
  }
}

/** Finds Postgres alone, for a command that needs nothing else. */
export function findDatabase(): { databaseUrl: string; place: string } {
  const databaseUrl = environmentOf("DATABASE_URL");
  if (databaseUrl) {
    const isUsable = problemOfPostgresUrl(databaseUrl) === undefined;
    return { databaseUrl, place: isUsable ? placeOfPostgres(databaseUrl) : "DATABASE_URL" };
  }
  const other = PLACES.find((name) => environmentOf(name));
  if (other !== undefined)
    throw new CommandFailed(`The environment has ${other}, so expected DATABASE_URL in it, too.`);
  const { databaseUrl: ofStack } = readStack("DATABASE_URL");
  if (!ofStack) throw new CommandFailed("The running stack names no database: start it again.");
  return { databaseUrl: ofStack, place: "the running spillway start" };
}
