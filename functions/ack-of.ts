/** Reads the level of an answer that a request asks for. */
import type { Ack } from "../lib/schema/stream.ts";
import { Problem } from "./answer.ts";

/**
 * Reads `ack` from the query; buffered if it is not there. Throws a 400 for any other value, for two values, and for a parameter
 * that looks like a misspelt `ack`: the answer would promise less than its sender thinks.
 */
export function ackOf(query: URLSearchParams): Ack {
  for (const [name, value] of query)
    if (name !== "ack" && (isNearAck(name) || isLevel(value.trim().toLowerCase())))
      throw new Problem(
        "invalid-query",
        `expected ack=buffered or ack=stored, got the parameter ${nameToTell(name)}`,
      );
  const [ack = "buffered", ...others] = query.getAll("ack");
  if (!isLevel(ack) || others.length > 0)
    throw new Problem("invalid-query", "expected ack=buffered or ack=stored, once");
  return ack;
}

/** A name as it is told to its sender. A long one may be a key. */
const nameToTell = (name: string): string =>
  JSON.stringify(name.length <= 32 ? name : `${name.slice(0, 8)}…`);

const isLevel = (text: string): text is Ack => text === "buffered" || text === "stored";

/** Whether a name is `ack` in other letters, with something added, or with one letter missing, changed or in another place. */
function isNearAck(name: string): boolean {
  const letters = name.toLowerCase().replaceAll(/[^a-z]/g, "");
  return (
    letters.startsWith("ack") ||
    /^(?:ac|ak|ck|kac|cak|akc|cka|a[a-z]k|ac[a-z]|[a-z]ck|[a-z]ack|a[a-z]ck|ac[a-z]k)$/.test(letters)
  );
}
