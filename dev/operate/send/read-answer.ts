/**
 * Reads what came back for a batch. It may be of something on the way (a proxy, a login page), so only the fields that are as ingest writes
 * them are taken.
 */
import { z } from "zod";

const item = z.object({
  index: z.int().min(0).optional(),
  code: z.string().optional(),
  errors: z.array(z.object({ path: z.string(), message: z.string() })).optional(),
  path: z.string().optional(),
  message: z.string().optional(),
});

const bodySchema = z.object({
  code: z.string().optional(),
  detail: z.string().optional(),
  accepted: z.int().min(0).optional(),
  duplicates: z.array(z.unknown()).optional(),
  rejected: z.array(item).optional(),
  errors: z.array(item).optional(),
});

export type Item = z.output<typeof item>;
export type Body = z.output<typeof bodySchema>;

/** The longest pause that is taken from an answer, in milliseconds: a server that names more is asked again all the same. */
const PAUSE_MAX_MS = 600_000;

/** The body's fields; none if it is no answer of ingest's. */
export function readBody(text: string): Body {
  try {
    return bodySchema.safeParse(JSON.parse(text)).data ?? {};
  } catch {
    return {};
  }
}

/** Milliseconds of a Retry-After; undefined: it names none. */
export function readRetryAfter(header: string | null): number | undefined {
  if (header === null || !/^\d+$/.test(header) || Number(header) === 0) return undefined;
  return Math.min(Number(header) * 1000, PAUSE_MAX_MS);
}

/** Whether a 201 or 202 has an answer for each of so many lines. */
export const isWhole = ({ accepted, rejected = [] }: Body, lines: number): boolean =>
  accepted !== undefined &&
  accepted + rejected.length === lines &&
  rejected.every(({ index }) => index !== undefined && index < lines);
