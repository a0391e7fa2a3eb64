/**
 * Shared by the commands for operators: how they fail and how they print. Exit status 0: all was done. 1: it could not be done,
 * or only a part was done. 2: the arguments make no sense. An error is printed as a sentence, never as a stack trace.
 */
import { parseArgs, styleText } from "node:util";
import type { Options } from "./command.ts";
import { suggestionFor } from "./nearest.ts";

/** Asked in a way that makes no sense; the message says what was expected. */
export class UsageError extends Error {
  override name = "UsageError";
}

/** It could not be done; the message is for people. */
export class CommandFailed extends Error {
  override name = "CommandFailed";
}

/**
 * Splits arguments into options and words. Throws a UsageError for an option that is not known; it says what was probably meant,
 * or of which other command the option is (`owners`).
 */
export function parseArguments<T extends Options>(
  args: string[],
  options: T,
  owners: ReadonlyMap<string, readonly string[]> = new Map(),
): ReturnType<typeof parseArgs<{ args: string[]; options: T; allowPositionals: true; strict: true }>> {
  try {
    return parseArgs({ args, options, allowPositionals: true, strict: true });
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code !== "ERR_PARSE_ARGS_UNKNOWN_OPTION") throw new UsageError(message.replaceAll("\n", " "));
    throw new UsageError(aboutUnknown(message, Object.keys(options), owners));
  }
}

function aboutUnknown(
  message: string,
  names: string[],
  owners: ReadonlyMap<string, readonly string[]>,
): string {
  const [, typed = ""] = /^Unknown option '--?([^']*)'/.exec(message) ?? [];
  const others = owners.get(typed);
  if (others) return `--${typed} is for ${others.join(" and ")}`;
  return `Unknown option '--${typed}'${suggestionFor(typed, names, "--")}`;
}

/** A sentence for an error. One that is not ours may hold data: only its name is told. */
export function explain(error: unknown): string {
  if (error instanceof UsageError || error instanceof CommandFailed) return error.message;
  const missing = missingPackage(error);
  if (missing !== undefined) return `${missing} is not installed: npm install --save-dev ${missing}`;
  return `This should not have happened (${error instanceof Error ? error.name : typeof error}).`;
}

/** The package that an import did not find. An installation has the tools of development among its devDependencies; an image has none. */
function missingPackage(error: unknown): string | undefined {
  const { code, message = "" } = error as Partial<NodeJS.ErrnoException>;
  if (code !== "ERR_MODULE_NOT_FOUND") return undefined;
  return /^Cannot find package '([^']+)'/.exec(message)?.[1];
}

/** A whole number from 1, or the fallback; throws a UsageError for anything else. */
export function wholeNumber<T>(option: string, text: string | undefined, fallback: T): number | T {
  if (text === undefined) return fallback;
  const number = Number(text);
  if (/^\d+$/.test(text) && number >= 1 && number <= 10_000_000) return number;
  throw new UsageError(`${option}: expected a whole number from 1, got "${text}"`);
}

/** The option of a command that prints data. */
export const jsonOption = {
  json: { type: "boolean", about: "print the data as JSON" },
} as const;

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
  console.log(styleText("bold", line(headings)));
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
