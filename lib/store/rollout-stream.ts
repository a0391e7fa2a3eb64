/**
 * The rollouts of Spillway, as a stream of its own: the smoke test of each build posts one event, and follows it through ingest, Redis, the
 * drain and Postgres. So a release is proven without a stream and a table of the deployer's, and its row tells when it was.
 *
 * It is internal: only a key whose list of streams names it may use it (lib/access/api-keys.ts), and such a key is made by operators alone.
 */
import { pgTable, text } from "drizzle-orm/pg-core";
import { z } from "zod";
import { defineStream, eventColumns } from "../schema/stream.ts";

export const rolloutTable = pgTable("spillway_rollouts", {
  ...eventColumns(),
  /** The build whose smoke test it was. */
  build: text("build").notNull(),
});

const schema = z.strictObject({ build: z.string().min(1).max(200) });

export default defineStream({ name: "spillway_rollouts", table: rolloutTable, schema });
