/** The API key: a text, or a function that is asked for one, and again after a 401. */
import type { Key } from "./options.ts";

export class KeySource {
  readonly #given: Key;
  #key: string | undefined;

  constructor(given: Key) {
    this.#given = given;
    if (typeof given === "string") this.#key = given;
  }

  /** The key if it is known: then a request can start at once. */
  get known(): string | undefined {
    return this.#key;
  }

  /** Asks for the key. Rejects if the function fails, or has not answered when `signal` aborts. */
  async ask(signal: AbortSignal): Promise<string> {
    const given = this.#given;
    if (typeof given === "string") return given;
    const aborted = new Promise<never>((_, reject) => signal.addEventListener("abort", reject));
    this.#key = await Promise.race([given(), aborted]);
    return this.#key;
  }

  /** Spillway refused the key. Returns whether there may be another. */
  forget(): boolean {
    if (typeof this.#given === "string") return false;
    this.#key = undefined;
    return true;
  }
}
