/** spillway-client: sends events to Spillway, and loses none. docs/client.md says what happens when. */
import { type Client, makeClient, type SendOptions, type Sent } from "./client.ts";
import type { ClientOptions } from "./options.ts";

export type { SendOptions, Sent, WaitingNow } from "./client.ts";
export type { ClientOptions } from "./options.ts";
export type { EventError, Held, Outcome } from "./outcome.ts";
export type { QueueBeat, Store, StoredEvent } from "./store.ts";
export { indexedDb } from "./stores/indexed-db.ts";
export { type KeyValueStorage, keyValue } from "./stores/key-value.ts";
export { memory } from "./stores/memory.ts";
export type { StreamsOf } from "./streams-of.ts";

/** A client whose streams and events have types: `Streams` has an entry for each stream, the type of its events. */
export interface SpillwayClient<Streams extends object> extends Omit<Client, "send"> {
  send<Name extends keyof Streams & string>(
    stream: Name,
    event: Streams[Name] & object,
    options?: SendOptions,
  ): Sent;
}

/**
 * Makes a client. Throws if `crypto.getRandomValues` is missing and `random` is not given. Nothing that the client does later
 * throws.
 */
export function createClient<Streams extends object = Record<string, object>>(
  options: ClientOptions,
): SpillwayClient<Streams> {
  return makeClient(options);
}
