/**
 * Reads the JSON body of a command to the supervisor: at most 64 KB, not compressed, and exactly as its schema declares it. Events
 * are read by admit-body.ts, piece by piece.
 */
import type { IncomingMessage } from "node:http";
import type { z } from "zod";
import { deadlineIn } from "../lib/flow/deadline.ts";
import { Room } from "../lib/flow/room.ts";
import { contentTypeOf, isUtf8 } from "../lib/ingest/media-type.ts";
import { Problem } from "./answer.ts";
import { checkDeclaredLength, encodingOf, readWholeBody } from "./body.ts";

/** The most bytes of a command. */
const BODY_MAX_BYTES = 65_536;
/** How long a command may take to come, in milliseconds. */
const BODY_WITHIN_MS = 10_000;
/** The most errors that an answer names. */
const ERRORS_MAX = 20;

/**
 * Reads a body of `application/json` and parses it by the schema. Throws a 415 for another media type (so no page can send one
 * without asking first) or a compressed body, a 413 past 64 KB, a 408 if it takes over 10 s, and a 400 if it is not JSON in UTF-8 or
 * not as the schema declares; `errors` then names each path.
 */
export async function readJsonBody<Value>(req: IncomingMessage, schema: z.ZodType<Value>): Promise<Value> {
  const { type, charset } = contentTypeOf(req.headers["content-type"]);
  if (type !== "application/json" || !isUtf8(charset))
    throw new Problem("unsupported-media-type", "expected Content-Type application/json");
  if (encodingOf(req) !== "identity")
    throw new Problem("unsupported-encoding", "expected a body without Content-Encoding");
  checkDeclaredLength(req, BODY_MAX_BYTES);
  const parsed = schema.safeParse(parse(await readWhole(req)));
  if (parsed.success) return parsed.data;
  const errors = parsed.error.issues
    .slice(0, ERRORS_MAX)
    .map(({ path, message }) => ({ path: path.join("."), message }));
  throw new Problem("invalid-body", "the body is not as expected", { errors });
}

const readWhole = (req: IncomingMessage): Promise<Buffer> =>
  readWholeBody(req, {
    maxBytes: BODY_MAX_BYTES,
    deadlineAtMs: deadlineIn(BODY_WITHIN_MS),
    share: new Room(BODY_MAX_BYTES).share(),
  });

function parse(bytes: Buffer): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    throw new Problem("invalid-body", "expected JSON in UTF-8");
  }
}
