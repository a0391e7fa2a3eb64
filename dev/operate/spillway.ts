/**
 * The program `spillway`: finds the command among the files of commands/, reads its arguments, runs it, and ends with its exit
 * status. A file of that folder is a command, and its default export declares it (command.ts).
 */
import { readdir } from "node:fs/promises";
import { type Action, type Command, type Group, isGroup, type Options } from "./command.ts";
import { explain, parseArguments, UsageError } from "./command-line.ts";
import { helpOfAction, helpOfGroup, helpOfProgram } from "./help.ts";
import { suggestionFor } from "./nearest.ts";

const FOLDER = new URL("./commands/", import.meta.url);

/** The command as far as it is understood; an error points to its help. */
let understood = "spillway";

async function run([name = "", ...args]: string[]): Promise<number> {
  const names = (await readdir(FOLDER))
    .filter((file) => file.endsWith(".ts"))
    .map((file) => file.slice(0, -".ts".length))
    .sort();
  if (["", "--help", "-h", "help"].includes(name)) {
    const commands = names.map(async (one) => [one, await load(one)] as const);
    console.log(helpOfProgram(new Map(await Promise.all(commands))));
    return name === "" ? 2 : 0;
  }
  if (!names.includes(name))
    throw new UsageError(`there is no command "${name}"${suggestionFor(name, names)}`);
  understood += ` ${name}`;
  const command = await load(name);
  return isGroup(command) ? runGroup(command, args) : runAction(command, args);
}

async function load(name: string): Promise<Command> {
  const { default: command } = (await import(new URL(`${name}.ts`, FOLDER).href)) as { default: Command };
  return command;
}

async function runGroup(group: Group, [word = "", ...args]: string[]): Promise<number> {
  const names = Object.keys(group.actions);
  if (word === "--help" || word === "-h") {
    console.log(helpOfGroup(understood, group));
    return 0;
  }
  if (!names.includes(word)) {
    const list = names.length === 1 ? names[0] : `${names.slice(0, -1).join(", ")} or ${names.at(-1)}`;
    throw new UsageError(`expected ${list}, got "${word}"${suggestionFor(word, names)}`);
  }
  understood += ` ${word}`;
  return runAction(group.actions[word] as Action, args, ownersOf(group));
}

/** Which of a group's actions know an option. */
function ownersOf({ actions }: Group): ReadonlyMap<string, string[]> {
  const owners = new Map<string, string[]>();
  for (const [name, { options = {} }] of Object.entries(actions))
    for (const option of Object.keys(options)) owners.set(option, [...(owners.get(option) ?? []), name]);
  return owners;
}

async function runAction(
  action: Action,
  args: string[],
  owners: ReadonlyMap<string, string[]> = new Map(),
): Promise<number> {
  if (asksForHelp(args)) {
    console.log(helpOfAction(understood, action));
    return 0;
  }
  const { words, wordsMax = 0 } = action;
  const options: Options = action.options ?? {};
  const { values, positionals } = parseArguments(args, options, owners);
  if (positionals.length > wordsMax)
    throw new UsageError(`expected ${words ?? "no words"}, got ${positionals.join(" ")}`);
  return action.run({ words: positionals, values });
}

/** Whether --help stands among the arguments, before a `--` that ends the options. */
function asksForHelp(args: readonly string[]): boolean {
  const end = args.indexOf("--");
  return args.slice(0, end === -1 ? args.length : end).some((arg) => arg === "--help" || arg === "-h");
}

process.stdout.on("error", () => process.exit(0)); // `| head` has seen enough
try {
  process.exitCode = await run(process.argv.slice(2));
} catch (error) {
  const isUsage = error instanceof UsageError;
  console.error(`${understood}: ${explain(error)}`);
  if (isUsage) console.error(`${understood} --help says more.`);
  process.exitCode = isUsage ? 2 : 1;
}
