/** What the supervisor can be asked: each operation, with its parameters, its body, its answers, and the problems that it may answer. */
import { LIVE_MEDIA_TYPE, LIVE_VIEWERS_MAX } from "../contract/live-bounds.ts";
import { supervisorPaths } from "../contract/paths.ts";
import { letterOperations } from "./letter-operations.ts";
import { ANY } from "./operations.ts";
import {
  BODY,
  CALLER,
  inPath,
  isSet,
  moment,
  OPERATOR,
  POSTGRES,
  query,
  type SupervisorOperation,
  text,
} from "./supervisor-operation.ts";

const WAIT = query("wait", "1: keeps trying partitions that another call holds, until the deadline.", isSet);
const STREAM = inPath("stream", "A stream of the release.");

const DRAINED = {
  200: { says: "What was done.", schemas: ["DrainBody"] },
  503: {
    says: "The same, if the outcome of a stream is unavailable or misconfigured. Everything is kept.",
    schemas: ["DrainBody"],
  },
} as const;

export const supervisorOperations: readonly SupervisorOperation[] = [
  {
    ...{ id: "health", method: "get", path: supervisorPaths.health },
    summary: "Answers if the process runs, without asking any server",
    answers: { 200: { says: "It runs.", schemas: ["Health"] } },
    problems: ANY,
  },
  {
    ...{ id: "drain", method: "post", path: supervisorPaths.drain },
    summary: "A tick: drains all streams",
    parameters: [WAIT],
    answers: DRAINED,
    problems: [...CALLER, "invalid-query"],
  },
  {
    ...{ id: "drainStream", method: "post", path: supervisorPaths.drainStream },
    summary: "Drains one stream",
    parameters: [
      STREAM,
      WAIT,
      query("partition", "An eager flush: full batches of this partition only.", {
        ...{ type: "integer", minimum: 0, maximum: 15 },
      }),
    ],
    answers: DRAINED,
    problems: [...CALLER, "invalid-query", "unknown-stream"],
  },
  {
    ...{ id: "status", method: "get", path: supervisorPaths.status },
    summary: "Says what waits, how old it is, and why it is not drained",
    answers: { 200: { says: "The status of every stream.", schemas: ["StatusReport"] } },
    problems: [...OPERATOR, "buffer-away"],
  },
  {
    ...{ id: "doctor", method: "get", path: supervisorPaths.doctor },
    summary: "Makes every check of Redis, Postgres and Spillway; changes nothing",
    answers: { 200: { says: "Each check.", schemas: ["DoctorReport"] } },
    problems: OPERATOR,
  },
  {
    ...{ id: "lookOn", method: "get", path: supervisorPaths.live },
    summary: "Shows what happens, as lines of JSON, until the response ends",
    description: `Each line is a LiveLine. At most ${LIVE_VIEWERS_MAX} look on at one instance.`,
    parameters: [
      query("after", "Goes on behind the line of this cursor, if the history is still the same.", {
        ...{ type: "string", pattern: "^[\\w-]{1,64}:\\d{1,15}$" },
      }),
      query(
        "panels",
        "Lines that ask Postgres every few seconds: letters, or stored:STREAM, with commas between.",
        text,
      ),
    ],
    answers: { 200: { says: "The lines.", schemas: ["LiveLine"], mediaType: LIVE_MEDIA_TYPE } },
    problems: [...OPERATOR, "invalid-query", "instance-busy"],
  },
  {
    ...{ id: "metrics", method: "get", path: supervisorPaths.metrics },
    summary: "Counters of this process's drains and gauges of what waits, for Prometheus",
    answers: {
      200: { says: "The metrics.", schemas: [], mediaType: "text/plain; version=0.0.4; charset=utf-8" },
    },
    problems: OPERATOR,
  },
  {
    ...{ id: "describe", method: "get", path: supervisorPaths.openApi },
    summary: "This document",
    answers: { 200: { says: "The document.", schemas: [] } },
    problems: OPERATOR,
  },
  {
    ...{ id: "usage", method: "get", path: supervisorPaths.usage },
    summary: "Says who sent how much, by hour, key and stream",
    parameters: [
      query("since", "Hours from this on; without it, from a day ago.", moment),
      query("until", "Hours before this; without it, until now.", moment),
      query("key", "Of the key of this name; empty: requests without a known one.", text),
      query("stream", "Of the stream of this name; empty: requests without a known one.", text),
    ],
    answers: { 200: { says: "The hours.", schemas: ["UsageReport"] } },
    problems: [...OPERATOR, ...POSTGRES, "invalid-query"],
  },
  {
    ...{ id: "refusals", method: "get", path: supervisorPaths.refusals },
    summary: "Says what was refused last, and why",
    parameters: [query("stream", "Without it, requests without a known key or stream.", text)],
    answers: { 200: { says: "The last hundred, at most.", schemas: ["RefusalsReport"] } },
    problems: [...OPERATOR, "invalid-query", "unknown-stream", "buffer-away"],
  },
  {
    ...{ id: "prune", method: "post", path: supervisorPaths.prune },
    summary: "Deletes letters that were settled long ago, and old rows of spillway_usage",
    description: "It ends after 40 s; ask again until `isDone`.",
    parameters: [
      query("letters-days", "How old letters must be; 0: none. Without it, KEEP_LETTERS_DAYS.", {
        ...{ type: "integer", minimum: 0, maximum: 99_999 },
      }),
      query("usage-days", "How old rows must be; 0: none. Without it, KEEP_USAGE_DAYS.", {
        ...{ type: "integer", minimum: 0, maximum: 99_999 },
      }),
      query("dry-run", "1: only counts them.", isSet),
    ],
    answers: { 200: { says: "How many.", schemas: ["PruneAnswer"] } },
    problems: [...OPERATOR, ...POSTGRES, "invalid-query"],
  },
  {
    ...{ id: "listKeys", method: "get", path: supervisorPaths.keys },
    summary: "Lists every key that was made, without the keys themselves",
    answers: { 200: { says: "The keys.", schemas: ["KeyList"] } },
    problems: [...OPERATOR, ...POSTGRES],
  },
  {
    ...{ id: "changeKeys", method: "post", path: supervisorPaths.keys },
    summary: "Makes, rotates or revokes a key",
    description: "If it fails with a 503, list the keys before you repeat it: it may be done.",
    body: { schema: "KeyCommand" },
    answers: {
      200: { says: "It is revoked.", schemas: ["RevokedKey"] },
      201: { says: "It is made. The answer holds the key, this once.", schemas: ["MadeKey"] },
    },
    problems: [...OPERATOR, ...POSTGRES, ...BODY, "unknown-name", "name-taken", "too-many-keys"],
  },
  {
    ...{ id: "showStored", method: "get", path: supervisorPaths.storedEvent },
    summary: "Shows a stored event, which may be personal data",
    parameters: [STREAM, inPath("id", "The event's id, as ingest answered it.")],
    answers: { 200: { says: "The row, as its table has it now.", schemas: ["StoredEvent"] } },
    problems: [...OPERATOR, ...POSTGRES, "unknown-stream", "unknown-row"],
  },
  {
    ...{ id: "pause", method: "post", path: supervisorPaths.pauseStream },
    summary: "Stops the drain of a stream for a while; what comes is buffered",
    parameters: [STREAM],
    body: { schema: "PauseRequest", isOptional: true },
    answers: { 200: { says: "It is paused.", schemas: ["PauseAnswer"] } },
    problems: [...OPERATOR, ...BODY, "unknown-stream", "buffer-away"],
  },
  {
    ...{ id: "resume", method: "post", path: supervisorPaths.resumeStream },
    summary: "Ends the pause of a stream; the next tick drains it",
    description: "It may be repeated.",
    parameters: [STREAM],
    answers: { 200: { says: "It is not paused at run time.", schemas: ["ResumeAnswer"] } },
    problems: [...OPERATOR, "unknown-stream", "buffer-away"],
  },
  ...letterOperations,
];
