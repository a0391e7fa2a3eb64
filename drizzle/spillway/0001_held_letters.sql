ALTER TABLE "dead_letters" ADD COLUMN "tries" integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "dead_letters" ADD COLUMN "retry_at" timestamp with time zone;--> statement-breakpoint
CREATE INDEX "dead_letters_retry_at" ON "dead_letters" USING btree ("stream","retry_at") WHERE "dead_letters"."retry_at" is not null;