/** Where a command writes a text that it made: to the file that its caller named, or to standard output. */
import { writeFileSync } from "node:fs";
import { CommandFailed } from "./command-line.ts";

/** Throws CommandFailed if the file can't be written. */
export function writeOut(file: string | undefined, text: string): void {
  if (file === undefined) return void process.stdout.write(text);
  try {
    writeFileSync(file, text);
  } catch (error) {
    throw new CommandFailed(`${file} can't be written (${(error as NodeJS.ErrnoException).code}).`);
  }
}
