CREATE TABLE "api_keys" (
	"sha256" text PRIMARY KEY NOT NULL,
	"name" text NOT NULL,
	"kind" text NOT NULL,
	"streams" text[],
	"events_per_second" integer,
	"per_address_per_second" integer,
	"origins" text[] NOT NULL,
	"version" bigint NOT NULL,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	"expires_at" timestamp with time zone,
	"revoked_at" timestamp with time zone
);
--> statement-breakpoint
CREATE INDEX "api_keys_version" ON "api_keys" USING btree ("version");--> statement-breakpoint
CREATE INDEX "api_keys_name" ON "api_keys" USING btree ("name");