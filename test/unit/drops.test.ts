/** Which statements of a migration lose data, as Drizzle Kit writes them and as people do. */
import { expect, test } from "vitest";
import { dropsIn } from "../../drizzle/drops.ts";

test.each<[string, string[]]>([
  ['DROP TABLE "leads" CASCADE;', ["leads"]],
  [
    'CREATE TABLE "a" ();\n--> statement-breakpoint\nDROP TABLE "b" CASCADE;--> statement-breakpoint\nDROP TABLE "c";',
    ["b", "c"],
  ],
  ["drop table if exists public.leads", ["public.leads"]],
  ['DROP TABLE "mine"."odd name" CASCADE;', ["mine.odd name"]],
  ['ALTER TABLE "leads" DROP COLUMN "notes";', ["leads.notes"]],
  [
    'ALTER TABLE "leads" drop column "sum";--> statement-breakpoint\nALTER TABLE "leads" ADD COLUMN "sum" integer;',
    ["leads.sum"],
  ],
  ["ALTER TABLE if exists leads drop column if exists notes", ["leads.notes"]],
  ['DROP SCHEMA "mine";', ["mine"]],
  ['ALTER TABLE "a" ADD COLUMN "drop" text;\nALTER TABLE "a" ALTER COLUMN "b" DROP NOT NULL;', []],
  ['ALTER TABLE "a" DROP CONSTRAINT "c";\nDROP INDEX "i";\nDROP TYPE "public"."mood";\nDROP VIEW "v";', []],
  ["-- Custom SQL migration file, put your code below! --", []],
])("%j drops %j", (sql, names) => {
  expect(dropsIn(sql)).toEqual(names);
});
