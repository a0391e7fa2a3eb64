/**
 * What a command is: what it is for, its words, its options, and the function that does it. The program (spillway.ts) reads the
 * rest from this: the arguments, the help text, and the suggestion for a mistyped name. A group is a command that has commands
 * of its own, such as `keys create`.
 */
import type { parseArgs } from "node:util";

/** An option, as `parseArgs` wants it, and what its help says. */
export interface Option {
  type: "string" | "boolean";
  /** Whether it may be given several times. */
  multiple?: boolean;
  /** How the help names its value, such as `NAME`. */
  value?: string;
  /** A phrase for the help. */
  about: string;
}

export type Options = Readonly<Record<string, Option>>;

/** The values of options, as `parseArgs` answers them. */
export type Values<T extends Options> = ReturnType<typeof parseArgs<{ options: T }>>["values"];

/** What was given on the command line. */
export interface Given<T extends Options = Options> {
  words: string[];
  values: Values<T>;
}

/** A command that does something. */
export interface Action<T extends Options = Options> {
  /** One sentence, for the list of commands. */
  about: string;
  /** How the help names its words, such as `[STREAM]`. @default it takes none */
  words?: string;
  /** The most words it takes. @default 0 */
  wordsMax?: number;
  options?: T;
  /** What the help says besides. */
  notes?: string;
  /** Does it, and returns the exit status: 0 all was done; 1 not, or only a part. */
  run(given: Given<T>): Promise<number>;
}

/** A command that has commands. */
export interface Group {
  about: string;
  actions: Readonly<Record<string, Action>>;
  notes?: string;
}

export type Command = Action | Group;

/** Declares an action; its function sees the types of its options. */
export const action = <const T extends Options>(declared: Action<T>): Action => declared as unknown as Action;

/** Whether a command has commands of its own. */
export const isGroup = (command: Command): command is Group => "actions" in command;
