/** What the supervisor can be asked about dead letters. */
import { supervisorPaths } from "../contract/paths.ts";
import {
  BODY,
  inPath,
  isSet,
  moment,
  OPERATOR,
  POSTGRES,
  query,
  type SupervisorOperation,
  several,
  text,
} from "./supervisor-operation.ts";

export const letterOperations: readonly SupervisorOperation[] = [
  {
    ...{ id: "listLetters", method: "get", path: supervisorPaths.deadLetters },
    summary: "Lists dead and held letters in groups, or one by one, without their events",
    parameters: [
      query("each", "1: letter by letter.", isSet),
      query("stream", "Of one of these: ?stream=A&stream=B", several(text)),
      query("sqlstate", "With one of these; none: it was not Postgres that refused them.", {
        ...several({ type: "string", pattern: "^(?:[0-9A-Z]{5}|none)$" }),
      }),
      query("id", "One of these.", several({ type: "string", format: "uuid" })),
      query("since", "Died at or after this.", moment),
      query("until", "Died before this.", moment),
      query("state", "Dead or held ones only.", { type: "string", enum: ["dead", "held"] }),
      query("all", "1: also letters that need no attention: redriven, or stored since.", isSet),
      query("limit", "Of groups, or of letters with each=1.", {
        ...{ type: "integer", minimum: 1, maximum: 1000, default: 100 },
      }),
      query("cursor", "The `next` of an earlier answer to the same request.", text),
    ],
    answers: {
      200: { says: "Groups, or with each=1 letters.", schemas: ["LetterGroups", "LetterPage"] },
    },
    problems: [...OPERATOR, ...POSTGRES, "invalid-query"],
  },
  {
    ...{ id: "showLetter", method: "get", path: supervisorPaths.deadLetter },
    summary: "Shows a letter with its event, which may be personal data",
    parameters: [
      inPath("id", "The event's id, as ingest answered it."),
      query("stream", "Of one of these: ?stream=A&stream=B", several(text)),
    ],
    answers: { 200: { says: "One letter of each stream.", schemas: ["ShownLetters"] } },
    problems: [...OPERATOR, ...POSTGRES, "unknown-letter"],
  },
  {
    ...{ id: "redrive", method: "post", path: supervisorPaths.redrive },
    summary: "Pushes the events of letters into the buffer again, under their ids",
    description: "It ends in time for Cloud Run. If `next` is not null, send it again as `cursor`.",
    body: { schema: "RedriveRequest" },
    answers: { 200: { says: "What was done, or would be.", schemas: ["RedriveAnswer", "TrialAnswer"] } },
    problems: [...OPERATOR, ...POSTGRES, ...BODY, "invalid-query"],
  },
  {
    ...{ id: "purge", method: "post", path: supervisorPaths.purge },
    summary: "Deletes letters: their events are lost, on purpose",
    body: { schema: "PurgeRequest" },
    answers: { 200: { says: "How many.", schemas: ["LetterCount"] } },
    problems: [...OPERATOR, ...POSTGRES, ...BODY],
  },
];
