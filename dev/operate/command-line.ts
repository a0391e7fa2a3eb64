/**
 * Shared by the commands for operators: how they end and how they print. Exit status 0: all was done. 1: it could not be done,
 * or only a part was done. 2: the arguments make no sense. An error is printed as a sentence, never as a stack trace.
 */
import { parseArgs } from "node:util";
import { ConfigError } from "../../lib/config.ts";
import { failureOf } from "../../lib/store/postgres-errors.ts";

/** Asked in a way that makes no sense; the message says what was expected. */
export class UsageError extends Error {
  override name = "UsageError";
}

/** It could not be done; the message is for people. */
export class CommandFailed extends Error {
  override name = "CommandFailed";
}

type Options = NonNullable<Parameters<typeof parseArgs>[0]>["options"];

/** Splits arguments into options and words; throws a UsageError for an unknown option. */
export function parseArguments<T extends Options>(args: string[], options: T) {
  try {
    return parseArgs({ args, options: options as T & Options, allowPositionals: true, strict: true });
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

/** Runs a command to its end: `main` returns the exit status. `name` stands before every error. */
export async function runCommand(
  { name, usage }: { name: string; usage: string },
  main: (args: string[]) => Promise<number>,
): Promise<void> {
  process.stdout.on("error", () => process.exit(0)); // `| head` has seen enough
  const args = process.argv.slice(2);
  if (args.includes("--help") || args.includes("-h")) {
    console.log(usage);
    return;
  }
  try {
    process.exitCode = await main(args);
  } catch (error) {
    const isUsage = error instanceof UsageError;
    console.error(`${name}: ${sentenceOf(error)}`);
    if (isUsage) console.error(`\n${usage}`);
    process.exitCode = isUsage ? 2 : 1;
  }
}

/** Drivers' messages hold statements and data: only their codes are told. */
function sentenceOf(error: unknown): string {
  const isOurs =
    error instanceof UsageError || error instanceof CommandFailed || error instanceof ConfigError;
  if (isOurs) return error.message;
  try {
    const { sqlstate, reason } = failureOf(error);
    if (sqlstate !== undefined) return `Postgres refused the statement (${reason}).`;
    return `Postgres does not answer (${reason}).`;
  } catch {
    return `This should not have happened (${error instanceof Error ? error.name : typeof error}).`;
  }
}

export type Cell = string | number | null;

/** Prints a table with its columns aligned, numbers to the right; null is a dash. */
export function printTable(headings: readonly string[], rows: readonly (readonly Cell[])[]): void {
  const texts = rows.map((row) => row.map(textOf));
  const widths = headings.map((heading, i) =>
    Math.max(heading.length, ...texts.map((row) => row[i]?.length ?? 0)),
  );
  const isNumeric = headings.map((_, i) => rows.some((row) => typeof row[i] === "number"));
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, i) => (isNumeric[i] ? cell.padStart(widths[i] ?? 0) : cell.padEnd(widths[i] ?? 0)))
      .join("  ")
      .trimEnd();
  console.log(line(headings));
  for (const row of texts) console.log(line(row));
}

const textOf = (cell: Cell): string =>
  cell === null ? "–" : typeof cell === "number" ? cell.toLocaleString("en-US") : printable(cell);

/** Control characters as JSON would escape them: what people sent must not steer the terminal. */
export const printable = (text: string): string =>
  text.replace(/\p{Cc}/gu, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`);

/** A count with its noun. */
export const countOf = (n: number, one: string, many = `${one}s`): string =>
  `${n.toLocaleString("en-US")} ${n === 1 ? one : many}`;

/** A length of time, roughly. */
export function describeSeconds(seconds: number): string {
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  return seconds < 172_800 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86_400)} days`;
}
