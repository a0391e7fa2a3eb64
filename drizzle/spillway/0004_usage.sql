CREATE TABLE "spillway_usage" (
	"id" uuid PRIMARY KEY NOT NULL,
	"received_at" timestamp with time zone NOT NULL,
	"stored_at" timestamp with time zone DEFAULT now() NOT NULL,
	"hour" timestamp with time zone NOT NULL,
	"key" text,
	"stream" text,
	"accepted" bigint NOT NULL,
	"rejected" bigint NOT NULL,
	"throttled" bigint NOT NULL,
	"shed" bigint NOT NULL,
	"bytes" bigint NOT NULL
);
--> statement-breakpoint
CREATE INDEX "spillway_usage_hour" ON "spillway_usage" USING btree ("hour");