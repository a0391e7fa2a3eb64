/** The bodies of the supervisor in its OpenAPI document: JSON schemas, written by zod from the schemas in lib/contract. */
import { z } from "zod";
import { healthBody, problemBody } from "../contract/bodies.ts";
import { doctorReport } from "../contract/doctor.ts";
import { drainBody } from "../contract/drain.ts";
import { keyCommand, keyList, madeKey, revokedKey } from "../contract/keys.ts";
import { purgeRequest, redriveRequest } from "../contract/letter-requests.ts";
import {
  letterCount,
  letterGroup,
  letterGroups,
  letterPage,
  listedLetter,
  redriveAnswer,
  shownLetters,
  trialAnswer,
} from "../contract/letters.ts";
import { liveLine } from "../contract/live.ts";
import { pauseAnswer, pauseReport, pauseRequest, resumeAnswer } from "../contract/pause.ts";
import { pruneAnswer } from "../contract/prune.ts";
import { statusReport } from "../contract/status.ts";
import { storedEvent } from "../contract/stored-event.ts";
import { refusalsReport, usageReport } from "../contract/usage.ts";
import { type Json, SCHEMAS } from "./components.ts";

/** Those that have a name in the document. */
const named = {
  DrainBody: drainBody,
  StatusReport: statusReport,
  PauseReport: pauseReport,
  PauseRequest: pauseRequest,
  PauseAnswer: pauseAnswer,
  ResumeAnswer: resumeAnswer,
  DoctorReport: doctorReport,
  LiveLine: liveLine,
  UsageReport: usageReport,
  RefusalsReport: refusalsReport,
  PruneAnswer: pruneAnswer,
  StoredEvent: storedEvent,
  KeyCommand: keyCommand,
  KeyList: keyList,
  MadeKey: madeKey,
  RevokedKey: revokedKey,
  LetterGroup: letterGroup,
  LetterGroups: letterGroups,
  ListedLetter: listedLetter,
  LetterPage: letterPage,
  ShownLetters: shownLetters,
  RedriveRequest: redriveRequest,
  RedriveAnswer: redriveAnswer,
  TrialAnswer: trialAnswer,
  PurgeRequest: purgeRequest,
  LetterCount: letterCount,
};

export type SupervisorSchema = keyof typeof named | "Health";

/** Writes them all. An object of an answer takes further members; one of a request does not. */
export function supervisorSchemas(): Json {
  const registry = z.registry<{ id: string }>();
  for (const [id, schema] of Object.entries(named)) registry.add(schema, { id });
  const { schemas } = z.toJSONSchema(registry, {
    io: "input",
    uri: (id) => `${SCHEMAS}${id}`,
    override: ({ jsonSchema }) => tidy(jsonSchema),
  });
  const written = Object.entries(schemas).map(([id, { $schema: _, $id: __, ...schema }]) => [id, schema]);
  return { ...Object.fromEntries(written), Health: healthBody, Problem: problemBody };
}

/** Takes out what is true of every number and list in JSON, and what OpenAPI reads otherwise. */
function tidy(schema: z.core.JSONSchema.BaseSchema): void {
  delete schema.readOnly;
  if (schema.maximum === Number.MAX_SAFE_INTEGER) delete schema.maximum;
  if (schema.minimum === Number.MIN_SAFE_INTEGER) delete schema.minimum;
}
