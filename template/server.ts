/** What the image runs: serves your streams, as ingest, as the supervisor, or as both on a machine of your own (--target=ingest, supervisor, all). */
import { serve } from "spillway/server";

await serve(new URL("./streams/", import.meta.url));
