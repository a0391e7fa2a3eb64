/** What a parsed body hands to `admit.ts`: each event as its client sent it, or an error that ends the whole body. */
import type { InputError } from "../schema/input-error.ts";
import { nameOfThrown } from "../schema/thrown.ts";

/** One event as the client sent it, parsed but not yet checked. */
export interface RawEvent {
  /** The client's id, if the media type has a place for it outside the event (CloudEvents). */
  rawId?: string | undefined;
  /** That id as it came: it is sent again like this. */
  sentId?: string | undefined;
  value: unknown;
  /** Whether the text may hold an unsafe value, so that `findUnsafeValue` must look. */
  needsDeepCheck: boolean;
  /** Whether it is known that `value` holds no null. @default false */
  hasNoNull?: boolean;
  /**
   * Why it cannot be accepted, whatever its stream is: an error in the form of a CloudEvent, a line that is not JSON. Its path is
   * as sent.
   */
  error?: InputError | undefined;
  /** Whether that error is its size. */
  isTooLarge?: boolean;
  /** Whether that error is of the stream's own code, which threw it. */
  threw?: boolean;
  /** Finds the path that the client wrote for a path in `value`. Absent: they are the same. */
  pathAsSent?: (path: string) => string;
  /** The line on which it begins, in NDJSON. */
  line?: number;
}

/** The body's syntax is wrong. The answer is a 400 with this message. */
export class BodySyntaxError extends Error {
  override name = "BodySyntaxError";
}

/** The body holds too many events. The answer is a 413. */
export class TooMany extends Error {
  override name = "TooMany";
}

/** What the sender is told if the stream's own code (its schema, a mapping) throws an error on an event. */
export function errorOfStream(error: unknown): InputError {
  return { path: "", message: `the stream's own code fails on this event (${nameOfThrown(error)})` };
}
