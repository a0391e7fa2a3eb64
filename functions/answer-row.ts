/**
 * Answers `GET /streams/{stream}/events/{id}` of the supervisor: one stored event, for a person who asks for it by its id. It is the only
 * answer that holds the data of a stored event, and its text is in no log.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { supervisorPaths } from "../lib/contract/paths.ts";
import { STORED_EVENT_MAX_BYTES, type StoredEvent } from "../lib/contract/stored-event.ts";
import { isUuid } from "../lib/schema/event-ids.ts";
import type { Registry } from "../lib/schema/registry.ts";
import type { Stream } from "../lib/schema/stream.ts";
import type { Store } from "../lib/store/store.ts";
import { Problem, sendJson } from "./answer.ts";
import { databaseProblem } from "./database-problem.ts";
import { type Asked, READ, type Route } from "./route.ts";

export interface RowDeps {
  store: Pick<Store, "storedRow">;
  streams: Registry;
}

export const rowRoutes: readonly Route<RowDeps>[] = [
  { path: supervisorPaths.storedEvent, methods: READ, answer: answerRow },
];

async function answerRow(
  deps: RowDeps,
  req: IncomingMessage,
  res: ServerResponse,
  { words: [name = "", id = ""] }: Asked,
): Promise<void> {
  req.resume(); // the body is not used
  const stream = deps.streams.get(name);
  if (stream === undefined) throw new Problem("unknown-stream", `no stream is named "${name.slice(0, 64)}"`);
  sendJson(res, 200, await read(deps, stream, id), { "cache-control": "no-store" });
}

async function read({ store }: RowDeps, stream: Stream, rawId: string): Promise<StoredEvent> {
  if (!isUuid(rawId)) throw new Problem("unknown-row", "expected the id as a UUID, as ingest answered it");
  if (!stream.key.keepsIds)
    throw new Problem(
      "unknown-row",
      `the stream ${stream.name} keeps no ids: its rows can't be found by them`,
    );
  const id = rawId.toLowerCase();
  const found = await store.storedRow(stream, id, STORED_EVENT_MAX_BYTES).catch((error) => {
    throw databaseProblem(error);
  });
  if (found === undefined)
    throw new Problem(
      "unknown-row",
      `the table of ${stream.name} has no row ${id}: it waits, is dead, or was deleted`,
    );
  return { stream: stream.name, id, ...found };
}
