CREATE TABLE "dead_letters" (
	"stream" text NOT NULL,
	"id" uuid NOT NULL,
	"envelope" text NOT NULL,
	"sqlstate" text,
	"reason" text NOT NULL,
	"burials" integer NOT NULL,
	"received_at" timestamp with time zone,
	"died_at" timestamp with time zone DEFAULT now() NOT NULL,
	"redriven_at" timestamp with time zone,
	CONSTRAINT "dead_letters_stream_id_pk" PRIMARY KEY("stream","id")
);
--> statement-breakpoint
CREATE INDEX "dead_letters_died_at" ON "dead_letters" USING btree ("died_at");