/** Loads the Lua scripts of `lib/buffer/lua/`, one atomic transition a file, each with its contract at its head. */
import { readFileSync } from "node:fs";

export type ScriptName = "claim" | "hand-back" | "renew";

/** The text of a script. */
export const readScript = (name: ScriptName): string =>
  readFileSync(new URL(`./lua/${name}.lua`, import.meta.url), "utf8");
