/** Runs a command to its end: reads its arguments, and ends the process with its exit status. An error is a sentence. */
import { type Action, type Command, type Group, isGroup } from "./command.ts";
import { explain, parseArguments, UsageError } from "./command-line.ts";
import { helpOfAction, helpOfGroup } from "./help.ts";
import { suggestionFor } from "./nearest.ts";

/** Runs a command, or one of a group's; `name` is how it was called, such as `spillway keys`. */
export async function runCommand(name: string, command: Command, args: string[]): Promise<void> {
  if (!isGroup(command)) return endWith(name, () => runAction(name, command, args));
  const [word = "", ...rest] = args;
  const chosen = Object.hasOwn(command.actions, word) ? command.actions[word] : undefined;
  if (chosen === undefined) return endWith(name, () => explainGroup(name, command, word));
  return endWith(`${name} ${word}`, () => runAction(`${name} ${word}`, chosen, rest, ownersOf(command)));
}

/** Sets the exit status, also for an error, which it prints with the name before it. */
export async function endWith(name: string, work: () => number | Promise<number>): Promise<void> {
  endIfUnwritable(name);
  try {
    process.exitCode = await work();
  } catch (error) {
    const isUsage = error instanceof UsageError;
    console.error(`${name}: ${explain(error)}`);
    if (isUsage) console.error(`${name} --help says more.`);
    process.exitCode = isUsage ? 2 : 1;
  }
}

/**
 * A reader that has seen enough (`| head`) ends nothing: the work goes on, and its exit status tells how it went. Output that is lost
 * otherwise is a failure.
 */
function endIfUnwritable(name: string): void {
  process.stderr.on("error", () => {}); // nobody can be told
  process.stdout.on("error", ({ code }: NodeJS.ErrnoException) => {
    if (code === "EPIPE") return;
    console.error(`${name}: standard output can't be written (${code}).`);
    process.exit(1);
  });
}

function explainGroup(name: string, group: Group, word: string): number {
  if (word === "--help" || word === "-h") {
    console.log(helpOfGroup(name, group));
    return 0;
  }
  const names = Object.keys(group.actions);
  const list = names.length === 1 ? names[0] : `${names.slice(0, -1).join(", ")} or ${names.at(-1)}`;
  throw new UsageError(`expected ${list}, got "${word}"${suggestionFor(word, names)}`);
}

/** Which of a group's actions know an option. */
function ownersOf({ actions }: Group): ReadonlyMap<string, string[]> {
  const owners = new Map<string, string[]>();
  for (const [name, { options = {} }] of Object.entries(actions))
    for (const option of Object.keys(options)) owners.set(option, [...(owners.get(option) ?? []), name]);
  return owners;
}

function runAction(
  name: string,
  action: Action,
  args: string[],
  owners: ReadonlyMap<string, string[]> = new Map(),
): number | Promise<number> {
  if (asksForHelp(args)) {
    console.log(helpOfAction(name, action));
    return 0;
  }
  const { words, wordsMax = 0, options = {} } = action;
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
