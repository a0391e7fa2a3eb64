/** The help texts of the program, of a group and of an action, made from what they declare. */
import { styleText } from "node:util";
import type { Action, Command, Group, Option } from "./command.ts";

const heading = (text: string): string => styleText("bold", text);

const STATUSES = "Exit status: 0 done; 1 not done, or not all of it; 2 wrong usage.";

/** Lines of a name and a phrase, with the phrases aligned. */
function twoColumns(rows: readonly (readonly [name: string, about: string])[]): string {
  const width = Math.max(...rows.map(([name]) => name.length));
  return rows.map(([name, about]) => `  ${name.padEnd(width)}  ${about}`).join("\n");
}

const paragraphs = (...parts: (string | undefined)[]): string =>
  parts.filter((part) => part !== undefined && part !== "").join("\n\n");

/** The help of `spillway` itself. */
export function helpOfProgram(commands: ReadonlyMap<string, Command>): string {
  return paragraphs(
    `${heading("Usage:")} spillway COMMAND [WORDS] [OPTIONS]`,
    twoColumns([...commands].map(([name, { about }]) => [name, about])),
    "spillway COMMAND --help says more about one. Most commands ask the supervisor of a running spillway start, or with --prod\n" +
      "that of the deployed system; SUPERVISOR_URL names another one.",
    STATUSES,
  );
}

/** The help of a group; `name` is the command as typed, such as `spillway keys`. */
export function helpOfGroup(name: string, { about, actions, notes }: Group): string {
  return paragraphs(
    `${heading("Usage:")} ${name} COMMAND [OPTIONS]`,
    about,
    twoColumns(
      Object.entries(actions).map(([one, { words, about }]) => [words ? `${one} ${words}` : one, about]),
    ),
    notes,
    `${name} COMMAND --help lists the options of one.`,
    STATUSES,
  );
}

/** The help of an action. */
export function helpOfAction(name: string, { about, words, options = {}, notes }: Action): string {
  const rows = Object.entries(options).map(
    ([option, declared]) => [optionOf(option, declared), declared.about] as const,
  );
  return paragraphs(
    `${heading("Usage:")} ${[name, words, rows.length > 0 ? "[OPTIONS]" : undefined].filter(Boolean).join(" ")}`,
    about,
    rows.length > 0 ? twoColumns(rows) : undefined,
    notes,
    STATUSES,
  );
}

const optionOf = (name: string, { type, value, multiple }: Option): string =>
  `--${name}${type === "string" ? ` ${value ?? "VALUE"}` : ""}${multiple ? " …" : ""}`;
