/**
 * The JSON of `GET /keys` and `POST /keys`, as zod schemas: the types, the OpenAPI document and the checks of the supervisor and of the
 * command line come from them. An answer may get further members later.
 */
import { z } from "zod";
import { count, moment } from "./body-parts.ts";
import { secondsOf } from "./length-of-time.ts";

/** How long the old keys of a rotated one are valid, if the command does not say. */
const OVERLAP_DEFAULT = "7d";

const name = z
  .string()
  .regex(/^[\w.-]{1,64}$/, 'expected a name of 1 to 64 letters, digits, "_", "-" and "."');
/** A length of time, in seconds. */
const duration = z
  .string()
  .regex(/^\d{1,5}(?:s|min|h|d)$/, "expected a length of time, such as 90d, 12h, 30min or 0s")
  .transform((text) => secondsOf(text) as number);
const lifetime = duration.refine((seconds) => seconds > 0, "expected more than nothing");
const rate = z.int().min(1).max(10_000_000);

const create = z.strictObject({
  action: z.literal("create"),
  name,
  kind: z.enum(["secret", "public"]).default("secret"),
  streams: z.array(z.string().max(63)).min(1).max(100).optional().describe("Absent: all."),
  eventsPerSecond: rate.optional().describe("Over all instances together."),
  perAddressPerSecond: rate.optional().describe("Of public keys only."),
  origins: z
    .array(z.string().max(253))
    .max(50)
    .default([])
    .describe("Of public keys only: the pages that may use it, such as https://example.com."),
  expires: lifetime.optional().describe("How long it lives, such as 90d; absent: it never expires."),
});
const rotate = z.strictObject({
  action: z.literal("rotate"),
  name,
  overlap: duration.prefault(OVERLAP_DEFAULT).describe("How long the old keys are valid beside the new one."),
  expires: lifetime.optional().describe("Absent: the new key lives as long as the old one was made to."),
});
const revoke = z.strictObject({ action: z.literal("revoke"), name });

/** The body of `POST /keys`. Its lengths of time are parsed to seconds. */
export const keyCommand = z.discriminatedUnion("action", [create, rotate, revoke]);
export type KeyCommand = z.output<typeof keyCommand>;

/** A key as people list it. */
export const listedKey = z.object({
  name: z.string(),
  digest: z.string().describe("The beginning of its SHA-256, which tells keys of one name apart."),
  state: z.enum(["live", "expired", "revoked"]),
  kind: z.enum(["secret", "public"]),
  streams: z.array(z.string()).readonly().nullable().describe("Null: all."),
  eventsPerSecond: count.nullable(),
  perAddressPerSecond: count.nullable(),
  origins: z.array(z.string()).readonly(),
  createdAt: moment,
  expiresAt: moment.nullable(),
  revokedAt: moment.nullable(),
});
export type ListedKey = z.infer<typeof listedKey>;

/** `GET /keys`: every key that there ever was, without the keys themselves. */
export const keyList = z.object({ keys: z.array(listedKey).readonly() });
export type KeyList = z.infer<typeof keyList>;

/** The answer to `create` and `rotate`. */
export const madeKey = z.object({
  name: z.string(),
  key: z.string().describe("The key itself. Nobody can read it again."),
  isCopied: z
    .boolean()
    .describe("Whether running instances know it within seconds. False: once the copy in Redis is mended."),
});
export type MadeKey = z.infer<typeof madeKey>;

/** The answer to `revoke`. */
export const revokedKey = z.object({
  name: z.string(),
  keys: count.describe("How many keys the name ever had: all of them are revoked now."),
  isRefused: z
    .boolean()
    .describe(
      "Whether the copy in Redis was read back without them. False: instances may go on with them until it is mended.",
    ),
});
export type RevokedKey = z.infer<typeof revokedKey>;
