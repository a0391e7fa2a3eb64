/** One event as its client sent it. */
import type { InputError } from "../schema/input-error.ts";

/** One event as the client sent it, parsed but not yet checked. */
export interface RawEvent {
  /** The client's id, if the media type has a place for it outside the event (CloudEvents). */
  rawId?: string | undefined;
  value: unknown;
  /** Whether the text may hold an unsafe value, so that `findUnsafeValue` must look. */
  needsDeepCheck: boolean;
  /** An error in the form of a CloudEvent. */
  error?: InputError;
}

/** The body's syntax is wrong. The answer is a 400 with this message. */
export class BodySyntaxError extends Error {
  override name = "BodySyntaxError";
}
