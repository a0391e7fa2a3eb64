/**
 * Structured logs in Cloud Logging's shape: one JSON object a line, `severity`, `message`, `event`
 * (`noun.verbed`), and fields. Never a payload, never a message of a driver's error (those hold the statement).
 */
import { pino } from "pino";
import { LogOutput } from "./log-output.ts";

type Fields = Record<string, unknown>;

/** Where things are said. The first argument is the event's name, `noun.verbed`. */
export interface Log {
  debug(event: string, fields?: Fields): void;
  info(event: string, fields?: Fields): void;
  warn(event: string, fields?: Fields): void;
  error(event: string, fields?: Fields): void;
}

/** Cloud Logging's severities for pino's levels. */
const SEVERITY: Record<string, string> = { debug: "DEBUG", info: "INFO", warn: "WARNING", error: "ERROR" };

/** A log on standard output. */
export function createLog(base: Fields): Log {
  const options = {
    level: "info",
    base,
    messageKey: "message",
    timestamp: () => `,"time":"${new Date().toISOString()}"`,
    formatters: { level: (label: string) => ({ severity: SEVERITY[label] ?? "DEFAULT" }) },
  };
  const logger = pino(options, new LogOutput());
  const at =
    (level: "debug" | "info" | "warn" | "error") =>
    (event: string, fields: Fields = {}) =>
      logger[level]({ event, ...fields }, event);
  return { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
}

const nothing = () => {};

/** Says nothing: for whoever serves a function for itself, and tells what there is to tell. */
export const silentLog: Log = { debug: nothing, info: nothing, warn: nothing, error: nothing };

/** The same log, with these fields in each entry. */
export function withFields(log: Log, always: Fields): Log {
  const at =
    (level: keyof Log) =>
    (event: string, fields: Fields = {}) =>
      log[level](event, { ...fields, ...always });
  return { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
}

/** The loggable parts of an unexpected error: its name and the place where it was thrown, not its message. */
export function describeError(error: unknown): Fields {
  if (!(error instanceof Error)) return { error: typeof error };
  const frames = (error.stack ?? "").split("\n").filter((line) => line.startsWith("    at "));
  return { error: error.name, at: frames.slice(0, 5).map((line) => line.trim()) };
}
