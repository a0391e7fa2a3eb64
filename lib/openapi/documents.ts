/** Keeps the documents that an instance has written: one for each set of streams that a key may use. */
import { createHash } from "node:crypto";
import { setImmediate } from "node:timers/promises";
import type { Registry } from "../schema/registry.ts";
import { documentOf, partOf, type StreamPart } from "./document.ts";
import type { Limits } from "./request-body.ts";

/** A document as it is sent. */
export interface WrittenDocument {
  text: string;
  /** A strong validator (RFC 9110, 8.8.3). */
  etag: string;
}

/** The most documents that are kept; the oldest one goes. */
const KEPT_MAX = 50;

export class Documents {
  readonly #streams: Registry;
  readonly #limits: Limits;
  readonly #parts = new Map<string, StreamPart>();
  readonly #kept = new Map<string, WrittenDocument>();

  constructor(streams: Registry, limits: Limits) {
    this.#streams = streams;
    this.#limits = limits;
  }

  /** Returns the document of those streams for which `isIncluded` holds, without retired ones. */
  async of(isIncluded: (name: string) => boolean): Promise<WrittenDocument> {
    const names = [...this.#streams.values()]
      .filter(({ name, retired }) => !retired && isIncluded(name))
      .map(({ name }) => name);
    const set = names.join(" ");
    const kept = this.#kept.get(set);
    if (kept !== undefined) return kept;
    const parts: StreamPart[] = [];
    for (const name of names) parts.push(await this.#partOf(name));
    return this.#keep(set, write(parts));
  }

  /** Writes a stream's part once. Other requests have their turn before each. */
  async #partOf(name: string): Promise<StreamPart> {
    const known = this.#parts.get(name);
    if (known !== undefined) return known;
    await setImmediate();
    const stream = this.#streams.get(name);
    if (stream === undefined) throw new Error(`expected a stream of the registry, got ${name}`);
    const part = partOf(stream, this.#limits);
    this.#parts.set(name, part);
    return part;
  }

  #keep(set: string, document: WrittenDocument): WrittenDocument {
    const [oldest] = this.#kept.keys();
    if (this.#kept.size >= KEPT_MAX && oldest !== undefined) this.#kept.delete(oldest);
    this.#kept.set(set, document);
    return document;
  }
}

function write(parts: readonly StreamPart[]): WrittenDocument {
  const text = `${JSON.stringify(documentOf(parts))}\n`;
  return { text, etag: `"${createHash("sha256").update(text).digest("base64url")}"` };
}
