/**
 * The JSON of `GET /streams/{stream}/events/{id}`, one stored event, as a zod schema: the type and the OpenAPI document come from it. It may
 * get further members later. The console's page imports types only from here, so that it has no zod.
 */
import { z } from "zod";
import { count } from "./body-parts.ts";

/** A longer row is not sent. */
export const STORED_EVENT_MAX_BYTES = 1_000_000;

/** A stored event, as its table has it now. */
export const storedEvent = z.object({
  stream: z.string(),
  id: z.string(),
  row: z
    .string()
    .nullable()
    .describe(
      `A JSON object: the columns that the stream declares, by their fields' names. Null: it is longer than ${STORED_EVENT_MAX_BYTES} bytes.`,
    ),
  bytes: count.describe("The length of that text."),
});
export type StoredEvent = z.infer<typeof storedEvent>;
