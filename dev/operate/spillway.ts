/**
 * The program `spillway`: finds the command among the files of commands/, and runs it. A file of that folder is a command, and its
 * default export declares it (command.ts).
 */
import { readdir } from "node:fs/promises";
import { extname } from "node:path";
import type { Command } from "./command.ts";
import { UsageError } from "./command-line.ts";
import { helpOfProgram } from "./help.ts";
import { suggestionFor } from "./nearest.ts";
import { endWith, runCommand } from "./run-command.ts";

/** TypeScript in a checkout, JavaScript in the package. */
const MODULE = extname(import.meta.url);
const FOLDER = new URL("./commands/", import.meta.url);
const files = await readdir(FOLDER);
const names = files
  .filter((file) => file.endsWith(MODULE) && !file.endsWith(".d.ts"))
  .map((file) => file.slice(0, -MODULE.length))
  .sort();

const [name = "", ...args] = process.argv.slice(2);
if (names.includes(name)) await runCommand(`spillway ${name}`, await load(name), args);
else await endWith("spillway", help);

async function load(one: string): Promise<Command> {
  const { default: command } = (await import(new URL(`${one}${MODULE}`, FOLDER).href)) as {
    default: Command;
  };
  return command;
}

/** Lists the commands, if that is asked for or nothing is. */
async function help(): Promise<number> {
  if (!["", "--help", "-h", "help"].includes(name))
    throw new UsageError(`there is no command "${name}"${suggestionFor(name, names)}`);
  const commands = names.map(async (one) => [one, await load(one)] as const);
  console.log(helpOfProgram(new Map(await Promise.all(commands))));
  return name === "" ? 2 : 0;
}
