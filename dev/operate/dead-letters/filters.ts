/** Which letters are meant: the options that all four commands share, and what the supervisor is asked for them. */

import { isUuid } from "../../../lib/schema/event-ids.ts";
import type { Values } from "../command.ts";
import { UsageError } from "../command-line.ts";
import { momentOf } from "../moment.ts";

/** A repeatable filter may be given several times, and any of its values matches. */
export const filterOptions = {
  stream: { type: "string", multiple: true, value: "NAME", about: "of this stream" },
  sqlstate: {
    type: "string",
    multiple: true,
    value: "CODE",
    about: 'refused with it; "none": not refused by Postgres',
  },
  id: { type: "string", multiple: true, value: "UUID", about: "of this event" },
  state: {
    type: "string",
    value: "STATE",
    about: "dead or held; without it both, but purge takes dead ones only",
  },
  since: {
    type: "string",
    value: "WHEN",
    about: "died at or after this: 2026-11-21T09:30:00Z, or ago: 90s, 30m, 2h, 3d",
  },
  until: { type: "string", value: "WHEN", about: "died before this" },
  limit: { type: "string", value: "N", about: "at most N, those that died first; list shows 100 without it" },
  all: { type: "boolean", about: "also letters that wait for nobody: redriven, or stored since" },
} as const;

/** A filter as the supervisor takes it (functions/letter-requests.ts). */
export interface Filter {
  streams: string[];
  sqlstates: (string | null)[];
  ids: string[];
  since?: string;
  until?: string;
  state?: string;
  all: boolean;
}

/** Understands the filters, or throws a UsageError. */
export function filterOf(values: Values<typeof filterOptions>): Filter {
  const { since, until, state } = values;
  if (state !== undefined && state !== "dead" && state !== "held")
    throw new UsageError(`--state: expected dead or held, got "${state}"`);
  return {
    streams: values.stream ?? [],
    sqlstates: (values.sqlstate ?? []).map(sqlstateOf),
    ids: (values.id ?? []).map(idOf),
    ...(since === undefined ? {} : { since: momentOf("--since", since) }),
    ...(until === undefined ? {} : { until: momentOf("--until", until) }),
    ...(state === undefined ? {} : { state }),
    all: values.all ?? false,
  };
}

/** The filter as a query. */
export function queryOf({ streams, sqlstates, ids, since, until, state, all }: Filter): URLSearchParams {
  const query = new URLSearchParams();
  for (const stream of streams) query.append("stream", stream);
  for (const sqlstate of sqlstates) query.append("sqlstate", sqlstate ?? "none");
  for (const id of ids) query.append("id", id);
  for (const [name, value] of Object.entries({ since, until, state })) if (value) query.set(name, value);
  if (all) query.set("all", "1");
  return query;
}

function sqlstateOf(text: string): string | null {
  if (text === "none") return null;
  if (/^[0-9A-Z]{5}$/.test(text.toUpperCase())) return text.toUpperCase();
  throw new UsageError(`--sqlstate: expected five digits or letters, or none, got "${text}"`);
}

/** An event's id, or a UsageError. */
export function idOf(text: string): string {
  if (isUuid(text)) return text.toLowerCase();
  throw new UsageError(`expected the id as a UUID, as ingest answered it, got "${text}"`);
}
