/**
 * Tells what a stream's own code threw. It may be anything: an error whose name is no text, an object that can't be made a text. Nothing here
 * throws, and a name is short and plain, because it is part of answers, letters and logs.
 */

/** The name of an error; of what is no error, its type. */
export function nameOfThrown(thrown: unknown): string {
  try {
    const name: unknown = thrown instanceof Error ? thrown.name : typeof thrown;
    return typeof name === "string" && /^[\w$. -]{1,64}$/.test(name) ? name : "Error";
  } catch {
    return "Error";
  }
}

/** The message of an error; of what is no error, its text. Only for whoever may see the event's data. */
export function messageOfThrown(thrown: unknown): string {
  try {
    return String(thrown instanceof Error ? thrown.message : thrown);
  } catch {
    return "it can't be made a text";
  }
}
