/** What the image runs: serves your streams, as ingest or as the supervisor (--target=ingest, --target=supervisor). */
import { serve } from "spillway/server";

await serve(new URL("./streams/", import.meta.url));
