/**
 * The form of an operation of the supervisor, and what several have. A status of an operation has the codes of its problems, and no others.
 */
import type { supervisorPaths } from "../contract/paths.ts";
import type { ProblemCode } from "../contract/problems.ts";
import type { Json } from "./components.ts";
import { ANY } from "./operations.ts";
import type { SupervisorSchema } from "./supervisor-schemas.ts";

/** An answer with a body of its own. */
export interface SupervisorAnswer {
  says: string;
  /** Its body has one of these; none: any object, or any text. Of a body of lines, each line. */
  schemas: readonly SupervisorSchema[];
  /** @default "application/json" */
  mediaType?: string;
}

export interface SupervisorOperation {
  id: string;
  method: "get" | "post";
  path: (typeof supervisorPaths)[keyof typeof supervisorPaths];
  summary: string;
  description?: string;
  parameters?: readonly Json[];
  body?: { schema: SupervisorSchema; isOptional?: boolean };
  /** By status. */
  answers: Readonly<Record<number, SupervisorAnswer>>;
  problems: readonly ProblemCode[];
}

/** What any caller may hear who has to be known. */
export const CALLER: readonly ProblemCode[] = [...ANY, "unknown-operator"];
/** What any operator may hear. */
export const OPERATOR: readonly ProblemCode[] = [...CALLER, "caller-not-allowed"];
export const POSTGRES: readonly ProblemCode[] = ["database-away", "database-refuses"];
export const BODY: readonly ProblemCode[] = [
  "invalid-body",
  "body-too-large",
  "unsupported-encoding",
  "unsupported-media-type",
];

export const query = (name: string, description: string, schema: Json): Json => ({
  ...{ name, in: "query", description, schema },
});
export const inPath = (name: string, description: string): Json => ({
  ...{ name, in: "path", required: true, description, schema: { type: "string" } },
});
export const text = { type: "string" };
export const moment = { type: "string", format: "date-time" };
export const isSet = { type: "string", enum: ["1"] };
export const several = (items: Json): Json => ({ type: "array", maxItems: 1000, items });
