/** Asks the supervisor to change a key, and prints a key that was made. */
import type { z } from "zod";
import type { keyCommand, MadeKey } from "../../../lib/contract/keys.ts";
import { bodyOf } from "../ask-supervisor.ts";
import { UsageError } from "../command-line.ts";
import { findSupervisor } from "../find-supervisor.ts";

/** Sends a command on a key; its answer fits the schema. */
export async function changeKey<Done>(
  { prod }: { prod?: boolean | undefined },
  command: z.input<typeof keyCommand>,
  schema: z.ZodType<Done>,
): Promise<Done> {
  const supervisor = await findSupervisor({ prod });
  return bodyOf(await supervisor.ask("POST", "/keys", { body: command }), schema);
}

/** The name that a command was given, or a UsageError. */
export function nameOf(words: readonly string[]): string {
  const [name] = words;
  if (name === undefined) throw new UsageError("expected the key's name");
  return name;
}

/** Prints the key alone on standard output, so that `$(…)` holds it, and the sentence about it elsewhere. */
export function printKey({ name, key, isCopied }: MadeKey, isJson = false): number {
  console.log(isJson ? JSON.stringify({ name, key, isCopied }) : key);
  const when = isCopied
    ? "Instances know it within seconds."
    : "Redis does not answer, so instances know it only once it does, after the next drain that stores something.";
  console.error(`This is the key "${name}". It is shown this once, and kept nowhere. ${when}`);
  return isCopied ? 0 : 1;
}
