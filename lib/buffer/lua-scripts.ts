/** Reads the Lua scripts of `lib/buffer/lua/`. Each file is one atomic transition, with its contract at its head. */
import { readFileSync } from "node:fs";

export const SCRIPTS = [
  "claim",
  "count-webhooks",
  "hand-back",
  "look",
  "measure",
  "note-held",
  "note-refusals",
  "pause",
  "renew",
  "replace-keys",
  "settle-held",
  "share-limits",
  "versions",
] as const;

export type ScriptName = (typeof SCRIPTS)[number];

/** Reads the text of a script. */
export const readScript = (name: ScriptName): string =>
  readFileSync(new URL(`./lua/${name}.lua`, import.meta.url), "utf8");
