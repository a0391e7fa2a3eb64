/** Reads compose.yaml as Docker Compose does, as far as this file goes: anchors, merged maps and variables. */
import { readFileSync } from "node:fs";
import { parse } from "yaml";

export interface Service {
  image: string;
  build?: string | { context: string; dockerfile: string };
  entrypoint?: string[];
  command?: string[];
  environment?: Record<string, string>;
  ports?: string[];
  volumes?: string[];
  depends_on?: Record<string, { condition: string }>;
  healthcheck?: { test: string[] };
  restart?: string;
  stop_grace_period?: string;
}

interface ComposeFile {
  services: Record<string, Service>;
  volumes: Record<string, null>;
}

const text = readFileSync(new URL("../compose.yaml", import.meta.url), "utf8");

/** A variable: `${NAME:?sentence}`, `${NAME:-default}`, or `$$`, which is a dollar. */
const VARIABLE = /\$\$|\$\{(\w+)(?::([?-])([^}]*))?\}/g;

/** Each variable of the file: its name, `?` if it has to be set or `-` if it has a default, and the sentence or default. */
export const variables = [...text.replaceAll(/^\s*#.*$/gm, "").matchAll(VARIABLE)]
  .filter(([, name]) => name !== undefined)
  .map(([, name = "", kind = "", rest = ""]) => ({ name, kind, rest }));

/** The file with these variables. Throws the sentence of one that is missing. */
export function readCompose(env: Readonly<Record<string, string>>): ComposeFile {
  const replace = (value: string): string =>
    value.replaceAll(VARIABLE, (_, name?: string, kind?: string, rest = "") => {
      if (name === undefined) return "$";
      const given = env[name];
      if (given) return given;
      if (kind === "-") return rest;
      throw new Error(`${name}: ${rest}`);
    });
  return mapStrings(parse(text, { merge: true }), replace) as ComposeFile;
}

function mapStrings(value: unknown, map: (text: string) => string): unknown {
  if (typeof value === "string") return map(value);
  if (Array.isArray(value)) return value.map((one) => mapStrings(one, map));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, mapStrings(one, map)]));
}
